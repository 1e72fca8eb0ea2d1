{{/* A rule of egress to a place, of (list place protocols). */}}
{{- define "simplicity.egress" -}}
{{- $place := first . -}}
- to:
    {{- range $place.cidrs }}
    - ipBlock: { cidr: {{ . | quote }} }
    {{- end }}
    {{- with $place.namespace }}
    - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ . | quote }} } }
      {{- with $place.podLabels }}
      podSelector: { matchLabels: {{ toJson . }} }
      {{- end }}
    {{- end }}
  ports:
    {{- range last . }}
    - { protocol: {{ . }}, port: {{ $place.port }} }
    {{- end }}
{{- end }}

{{/* The rules of egress of (list $ names): names are keys of `network`. */}}
{{- define "simplicity.egresses" -}}
{{- $ := first . -}}
{{- range $i, $name := last . }}
{{- if $i }}{{ "\n" }}{{ end }}
{{- include "simplicity.egress" (list (index $.Values.network $name) (ternary (list "UDP" "TCP") (list "TCP") (eq $name "dns"))) }}
{{- end }}
{{- end }}

{{/* A rule of ingress, of (list namespace port). */}}
{{- define "simplicity.ingress" -}}
- from:
    - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ first . | quote }} } }
  ports:
    - { protocol: TCP, port: {{ last . }} }
{{- end }}
