{{/* Names and labels are those of prometheus-adapter's chart, so that with
     nameOverride=prometheus-adapter each object of its release is changed in place. */}}

{{- define "metrics-apiserver.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "metrics-apiserver.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "metrics-apiserver.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "metrics-apiserver.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "metrics-apiserver.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "metrics-apiserver.selectorLabels" -}}
app.kubernetes.io/name: {{ include "metrics-apiserver.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "metrics-apiserver.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: metrics
app.kubernetes.io/part-of: {{ include "metrics-apiserver.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{ include "metrics-apiserver.selectorLabels" . }}
{{- with .Values.customLabels }}
{{ include "metrics-apiserver.strings" . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: list of context, name, and optionally a dict with namespace, labels and
     annotations of its own. A namespace of "-" is none. */}}
{{- define "metrics-apiserver.metadata" -}}
{{- $root := index . 0 -}}
{{- $own := dict -}}
{{- if gt (len .) 2 }}{{ $own = index . 2 }}{{ end -}}
name: {{ index . 1 }}
{{- if ne (default "" $own.namespace) "-" }}
namespace: {{ default (include "metrics-apiserver.namespace" $root) $own.namespace }}
{{- end }}
labels:
  {{- include "metrics-apiserver.labels" $root | nindent 2 }}
  {{- with $own.labels }}
  {{- include "metrics-apiserver.strings" . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default dict $own.annotations) (default dict $root.Values.customAnnotations) }}
annotations:
  {{- include "metrics-apiserver.strings" . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The server's ServiceAccount as a subject. */}}
{{- define "metrics-apiserver.subject" -}}
- kind: ServiceAccount
  name: {{ include "metrics-apiserver.serviceAccountName" . }}
  namespace: {{ include "metrics-apiserver.namespace" . }}
{{- end -}}

{{/* Values files for prometheus-adapter may name its image, which is replaced by the server's. */}}
{{- define "metrics-apiserver.image" -}}
{{- $repository := .Values.image.repository -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag | toString -}}
{{- if include "metrics-apiserver.namesAnotherImage" . -}}
{{- $tag = .Chart.AppVersion -}}
{{- if regexMatch "prometheus-adapter(-[a-z0-9]+)?$" $repository }}{{ $repository = "metrics-apiserver" }}{{ end -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{/* Not empty if repository or tag are prometheus-adapter's: its tags begin with v, this server's do not. */}}
{{- define "metrics-apiserver.namesAnotherImage" -}}
{{- if or (regexMatch "prometheus-adapter(-[a-z0-9]+)?$" .Values.image.repository) (regexMatch "^v0\\.[0-9]+\\.[0-9]+$" (toString .Values.image.tag)) }}yes{{ end -}}
{{- end -}}
