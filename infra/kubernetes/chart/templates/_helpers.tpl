{{/* Names and labels. A component is api, sync or migrations. */}}
{{- define "simplicity.name" -}}
{{- if contains "simplicity" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-simplicity{{ end -}}
{{- end }}

{{- define "simplicity.selector" -}}
app.kubernetes.io/name: simplicity
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of (list $ component). */}}
{{- define "simplicity.componentSelector" -}}
{{ include "simplicity.selector" (first .) }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "simplicity.labels" -}}
{{ include "simplicity.selector" . }}
app.kubernetes.io/version: {{ include "simplicity.release" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Of (list $ component). */}}
{{- define "simplicity.componentLabels" -}}
{{ include "simplicity.labels" (first .) }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* What every answer of the API says that it is of: a label's value, too, so at most 63 characters. */}}
{{- define "simplicity.release" -}}
{{- with .Values.image }}{{ .tag | default (.digest | replace ":" "-") | trunc 63 | trimSuffix "-" | trimSuffix "." }}{{ end -}}
{{- end }}

{{- define "simplicity.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}{{ end -}}
{{- end }}

{{- define "simplicity.cluster" -}}
{{ .Values.cluster | default .Release.Name }}
{{- end }}

{{- define "simplicity.scheme" -}}
{{ if .Values.secrets.tls }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{/* Of (list secret key): where the key is missing no pod starts, and its events say which one. */}}
{{- define "simplicity.secret" -}}
- name: {{ last . }}
  valueFrom: { secretKeyRef: { name: {{ first . | quote }}, key: {{ last . }} } }
{{- end }}

{{/* Of (list $ secret): what all commands are told. */}}
{{- define "simplicity.environment" -}}
{{- $secret := last . }}
{{- with first . }}
{{- include "simplicity.secret" (list $secret "DATABASE_URL") }}
{{- if .Values.bitcoin.credentials }}
{{ include "simplicity.secret" (list $secret "BITCOIN_RPC_USER") }}
{{ include "simplicity.secret" (list $secret "BITCOIN_RPC_PASSWORD") }}
{{- end }}
- { name: BITCOIN_NETWORK, value: {{ .Values.bitcoin.network | quote }} }
- { name: BITCOIN_RPC_URL, value: {{ .Values.bitcoin.url | quote }} }
- { name: CLUSTER_NAME, value: {{ include "simplicity.cluster" . | quote }} }
- { name: RELEASE_ID, value: {{ include "simplicity.release" . | quote }} }
{{- if .Values.secrets.tls }}
- { name: TLS_CERTIFICATE, value: /etc/simplicity/tls/tls.crt }
- { name: TLS_KEY, value: /etc/simplicity/tls/tls.key }
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- /* Whole numbers come as floats: large ones must not be written as 9e+05. */}}
- { name: {{ $name }}, value: {{ if and (kindIs "float64" $value) (eq $value (floor $value)) }}{{ printf "%.0f" $value | quote }}{{ else }}{{ $value | toString | quote }}{{ end }} }
{{- end }}
{{- end }}
{{- end }}
