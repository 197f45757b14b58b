{{/* The URL of Prometheus. A URL that has a port or a path keeps its port as it is: the values'
     default port behind it would make another URL of it. */}}
{{- define "metrics-apiserver.prometheusURL" -}}
{{- $url := tpl .Values.prometheus.url . | trimSuffix "/" -}}
{{- $port := .Values.prometheus.port -}}
{{- if or (eq (int $port) 0) (regexMatch "^[a-z]+://[^/]+(:[0-9]+$|/)" $url) -}}
{{ $url }}{{ .Values.prometheus.path }}
{{- else -}}
{{ $url }}:{{ $port }}{{ .Values.prometheus.path }}
{{- end -}}
{{- end -}}

{{/* The port in that URL, for the NetworkPolicy. */}}
{{- define "metrics-apiserver.prometheusPort" -}}
{{- $url := include "metrics-apiserver.prometheusURL" . -}}
{{- $authority := regexReplaceAll "^[a-z]+://([^/]*).*$" $url "${1}" -}}
{{- if regexMatch ":[0-9]+$" $authority -}}
{{ regexFind "[0-9]+$" $authority }}
{{- else -}}
{{ ternary 443 80 (hasPrefix "https" $url) }}
{{- end -}}
{{- end -}}

{{- define "metrics-apiserver.arguments" -}}
- --secure-port={{ .Values.listenPort }}
{{- with include "metrics-apiserver.tlsArguments" . }}
{{ . }}
{{- end }}
- --prometheus-url={{ include "metrics-apiserver.prometheusURL" . }}
- --metrics-relist-interval={{ .Values.metricsRelistInterval }}
- --v={{ .Values.logLevel }}
- --config=/etc/adapter/config.yaml
{{- with .Values.extraArguments }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "metrics-apiserver.replicas" -}}
{{- if .Values.highAvailability.enabled -}}
{{ max (int .Values.replicas) (int .Values.highAvailability.replicas) }}
{{- else -}}
{{ .Values.replicas }}
{{- end -}}
{{- end -}}

{{/* The rule of a NetworkPolicy that leads to kube-apiserver. A list of no ports would mean all. */}}
{{- define "metrics-apiserver.toKubeAPIServer" -}}
{{- $there := .Values.networkPolicy.kubeApiServer -}}
- ports:
  {{- range default (list 443 6443) $there.ports }}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
  {{- with $there.to }}
  to:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
