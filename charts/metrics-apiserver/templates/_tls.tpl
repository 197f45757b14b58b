{{/* How kube-apiserver trusts the server; see tls.mode in values.yaml. */}}
{{- define "metrics-apiserver.tlsMode" -}}
{{- $certificate := false -}}
{{- range default list .Values.extraArguments }}{{ if hasPrefix "--tls-cert-file" (toString .) }}{{ $certificate = true }}{{ end }}{{ end -}}
{{- if .Values.tls.mode -}}{{ .Values.tls.mode }}
{{- else if .Values.certManager.enabled -}}certManager
{{- else if .Values.tls.enable -}}values
{{- else if .Values.tls.secret.name -}}secret
{{- else if $certificate -}}arguments
{{- else -}}selfManaged
{{- end -}}
{{- end -}}

{{/* Values files copied from the chart's defaults have comments in these places. */}}
{{- define "metrics-apiserver.givenCA" -}}
{{- if contains "-----BEGIN CERTIFICATE-----" (default "" .Values.tls.ca) }}{{ .Values.tls.ca }}{{ end -}}
{{- end -}}

{{- define "metrics-apiserver.servingSecretName" -}}
{{- $mode := include "metrics-apiserver.tlsMode" . -}}
{{- if eq $mode "secret" -}}
{{- required "tls.mode secret needs tls.secret.name" .Values.tls.secret.name -}}
{{- else if eq $mode "selfManaged" -}}
{{- include "metrics-apiserver.fullname" . | trunc 50 | trimSuffix "-" }}-serving-cert
{{- else if has $mode (list "values" "certManager") -}}
{{- include "metrics-apiserver.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* The Secret that is mounted; a server that manages its own certificate reads it from the API. */}}
{{- define "metrics-apiserver.mountedSecret" -}}
{{- if ne (include "metrics-apiserver.tlsMode" .) "selfManaged" -}}
{{- include "metrics-apiserver.servingSecretName" . -}}
{{- end -}}
{{- end -}}

{{- define "metrics-apiserver.tlsArguments" -}}
{{- $mode := include "metrics-apiserver.tlsMode" . -}}
{{- if eq $mode "secret" -}}
- --tls-cert-file=/var/run/serving-cert/{{ .Values.tls.secret.certificateKey }}
- --tls-private-key-file=/var/run/serving-cert/{{ .Values.tls.secret.privateKeyKey }}
{{- else if has $mode (list "values" "certManager") -}}
- --tls-cert-file=/var/run/serving-cert/tls.crt
- --tls-private-key-file=/var/run/serving-cert/tls.key
{{- else if eq $mode "selfManaged" -}}
- --cert-secret={{ include "metrics-apiserver.namespace" . }}/{{ include "metrics-apiserver.servingSecretName" . }}
- --cert-service={{ include "metrics-apiserver.fullname" . }}.{{ include "metrics-apiserver.namespace" . }}
{{- with include "metrics-apiserver.apiServiceNames" . | fromJsonArray }}
- --cert-apiservices={{ join "," . }}
{{- end }}
- --cert-cluster-domain={{ .Values.tls.selfManaged.clusterDomain }}
{{- else if eq $mode "unverified" -}}
- --cert-dir=/tmp/cert
{{- end -}}
{{- end -}}

{{/* The part of an APIService's spec that says what is trusted; takes a list of the context and its
     name. In the mode selfManaged the server writes it. An APIService of another chart that is not
     verified today stays so until the server has written it; otherwise it would be unavailable in
     between. */}}
{{- define "metrics-apiserver.trust" -}}
{{- $name := index . 1 -}}
{{- with index . 0 -}}
{{- $mode := include "metrics-apiserver.tlsMode" . -}}
{{- $given := include "metrics-apiserver.givenCA" . -}}
{{- $there := default dict (lookup "apiregistration.k8s.io/v1" "APIService" "" $name) -}}
{{- if eq $mode "values" -}}
{{- $_ := required "tls.enable needs tls.ca, a PEM certificate" $given -}}
caBundle: {{ b64enc $given }}
{{- else if eq $mode "secret" -}}
{{- if $given -}}
caBundle: {{ b64enc $given }}
{{- else -}}
{{- $secret := lookup "v1" "Secret" (include "metrics-apiserver.namespace" .) .Values.tls.secret.name -}}
{{- $found := "" -}}
{{- if $secret }}{{ $found = get (default dict $secret.data) .Values.tls.secret.caKey }}{{ end -}}
caBundle: {{ required (printf "the authority of the Secret %s is not known: set tls.ca, or put it into the Secret under %s before the installation" .Values.tls.secret.name .Values.tls.secret.caKey) $found }}
{{- end -}}
{{- else if eq $mode "arguments" -}}
{{- if $given -}}
caBundle: {{ b64enc $given }}
{{- else -}}
{{- include "metrics-apiserver.unverified" $there -}}
{{- end -}}
{{- else if eq $mode "unverified" -}}
{{- include "metrics-apiserver.unverified" $there -}}
{{- else if eq $mode "selfManaged" -}}
{{- if dig "spec" "insecureSkipTLSVerify" false $there -}}
insecureSkipTLSVerify: true
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* For an existing APIService. kube-apiserver rejects one that has a CA and is not verified, and a CA
     that the server or cert-manager wrote is not in Helm's own patch. */}}
{{- define "metrics-apiserver.unverified" -}}
insecureSkipTLSVerify: true
{{- if dig "spec" "caBundle" "" . }}
caBundle: ""
{{- end -}}
{{- end -}}

{{/* What cert-manager's injector reads, as NAMESPACE/CERTIFICATE. */}}
{{- define "metrics-apiserver.injectFrom" -}}
{{- if eq (include "metrics-apiserver.tlsMode" .) "certManager" -}}
{{- $kind := ternary "cert" "root-cert" (not (empty .Values.certManager.issuerRef)) -}}
{{ include "metrics-apiserver.namespace" . }}/{{ include "metrics-apiserver.fullname" . }}-{{ $kind }}
{{- end -}}
{{- end -}}

{{/* How Prometheus verifies the server to which it sends its token. The CA must be in a Secret in the
     ServiceMonitor's own namespace. */}}
{{- define "metrics-apiserver.scrapeTLS" -}}
{{- $mode := include "metrics-apiserver.tlsMode" . -}}
{{- $namespace := include "metrics-apiserver.namespace" . -}}
{{- if .Values.serviceMonitor.tlsConfig -}}
{{- toYaml .Values.serviceMonitor.tlsConfig -}}
{{- else if has $mode (list "arguments" "unverified") -}}
insecureSkipVerify: true
{{- else -}}
{{- if ne $namespace (default $namespace .Values.serviceMonitor.namespace) -}}
{{- fail "serviceMonitor.namespace is not that of the server, where its authority is: set serviceMonitor.tlsConfig" -}}
{{- end -}}
serverName: {{ include "metrics-apiserver.fullname" . }}.{{ $namespace }}.svc
ca:
  secret:
    name: {{ include "metrics-apiserver.servingSecretName" . }}
    key: {{ ternary .Values.tls.secret.caKey "ca.crt" (eq $mode "secret") }}
{{- end -}}
{{- end -}}
