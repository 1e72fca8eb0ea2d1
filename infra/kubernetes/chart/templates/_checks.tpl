{{/* What the schema cannot say, or not in words: a line for each mistake. */}}
{{- define "simplicity.check" -}}
{{- $wrong := list }}
{{- with .Values.image }}
{{- if not .repository }}{{ $wrong = append $wrong "image.repository: say where the image is, such as registry.example.com/simplicity" }}{{ end }}
{{- if not (or .tag .digest) }}{{ $wrong = append $wrong "image: give a tag or a digest: what runs has to be known" }}{{ end }}
{{- if has (lower .tag) (list "latest" "main" "master" "stable" "edge") }}{{ $wrong = append $wrong (printf "image.tag: %s is another image tomorrow; give a version or a digest" .tag) }}{{ end }}
{{- end }}
{{- with .Values.secrets }}
{{- if not .api }}{{ $wrong = append $wrong "secrets.api: name an existing Secret with DATABASE_URL of the reading role" }}{{ end }}
{{- if not .sync }}{{ $wrong = append $wrong "secrets.sync: name an existing Secret with DATABASE_URL of the writing role" }}{{ end }}
{{- if and .api (eq .api .sync) }}{{ $wrong = append $wrong "secrets: api and sync are the same; the API must not have the writing role's password" }}{{ end }}
{{- if and $.Values.api.authentication (not .keyRing) }}{{ $wrong = append $wrong "secrets.keyRing: name an existing Secret with auth_key_ring.json, or set api.authentication=false" }}{{ end }}
{{- end }}
{{- if not .Values.bitcoin.url }}{{ $wrong = append $wrong "bitcoin.url: say where the node answers, such as http://bitcoind.bitcoin.svc:8332" }}{{ end }}
{{- if not .Values.database.readerRole }}{{ $wrong = append $wrong "database.readerRole: name the role of the API's DATABASE_URL: migrations grant reading to it" }}{{ end }}
{{- with .Values.autoscaling }}
{{- if lt (int .maxReplicas) (int .minReplicas) }}{{ $wrong = append $wrong (printf "autoscaling.maxReplicas: %d is less than minReplicas, %d" (int .maxReplicas) (int .minReplicas)) }}{{ end }}
{{- end }}
{{- if and .Values.monitoring.enabled (not .Values.api.internalNetworks) }}{{ $wrong = append $wrong "api.internalNetworks: name the networks of Prometheus' pods, which read /metrics, or set monitoring.enabled=false" }}{{ end }}
{{- range $name := list "trustedProxies" "internalNetworks" }}
{{- range index $.Values.api $name }}
{{- if hasSuffix "/0" . }}{{ $wrong = append $wrong (printf "api.%s: %s is everybody; name the networks of the pods that are meant" $name .) }}{{ end }}
{{- end }}
{{- end }}
{{- with .Values.network }}
{{- if .enabled }}
{{- if not .ingressNamespace }}{{ $wrong = append $wrong "network.ingressNamespace: name the namespace whose pods send requests to the API" }}{{ end }}
{{- if and $.Values.monitoring.enabled (not .monitoringNamespace) }}{{ $wrong = append $wrong "network.monitoringNamespace: name the namespace of Prometheus, or set monitoring.enabled=false" }}{{ end }}
{{- $needed := list "dns" "database" "node" }}
{{- if $.Values.api.cache }}{{ $needed = append $needed "cache" }}{{ end }}
{{- if hasKey $.Values.settings "OTEL_EXPORTER_OTLP_ENDPOINT" }}{{ $needed = append $needed "collector" }}{{ end }}
{{- range $name := $needed }}
{{- $place := index $.Values.network $name }}
{{- if not (or $place.namespace $place.cidrs) }}{{ $wrong = append $wrong (printf "network.%s: say where it is: its namespace, or its networks as cidrs" $name) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- if $wrong }}{{ fail (printf "\n%s" (join "\n" $wrong)) }}{{ end }}
{{- end }}
