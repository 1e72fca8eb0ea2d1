{{/* What every pod is: no user of the host, no token of the cluster, nothing to write to but /tmp. */}}
{{- define "simplicity.pod" -}}
automountServiceAccountToken: false
# Variables of Kubernetes' own, such as API_PORT for a Service called api, would be taken for settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.scheduling }}
{{- with .nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Of (list $ command): the fields of a container that are the same for all. */}}
{{- define "simplicity.container" -}}
{{- $command := last . -}}
{{- with first . -}}
image: {{ include "simplicity.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [{{ $command }}]
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: { drop: [ALL] }
{{- end }}
{{- end }}

{{/* Pods of a component (list $ component) are spread over zones and nodes, those of a new release by themselves. */}}
{{- define "simplicity.spread" -}}
{{- range $i, $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
{{- if $i }}{{ "\n" }}{{ end -}}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: {{ (first $).Values.scheduling.whenUnsatisfiable }}
  labelSelector:
    matchLabels:
      {{- include "simplicity.componentSelector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{- define "simplicity.mounts" -}}
- { name: tmp, mountPath: /tmp }
{{- if .Values.secrets.tls }}
- { name: tls, mountPath: /etc/simplicity/tls, readOnly: true }
{{- end }}
{{- end }}

{{/* The group reads them, which is fsGroup's. */}}
{{- define "simplicity.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- with .Values.secrets.tls }}
- name: tls
  secret: { secretName: {{ . | quote }}, defaultMode: 0440 }
{{- end }}
{{- end }}
