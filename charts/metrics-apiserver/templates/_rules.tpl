{{/* The packs that are enabled, in the order of their rules. */}}
{{- define "metrics-apiserver.packs" -}}
{{- $packs := list -}}
{{- if .Values.rules.default }}{{ $packs = append $packs "prometheus-adapter-defaults" }}{{ end -}}
{{- with .Values.rulePacks -}}
{{- if .alibabaGpu }}{{ $packs = append $packs "alibaba-gpu" }}{{ end -}}
{{- if .dcgm }}{{ $packs = append $packs "dcgm" }}{{ end -}}
{{- if .gpuDevices }}{{ $packs = append $packs "gpu-devices" }}{{ end -}}
{{- if .gpuDcgm }}{{ $packs = append $packs "gpu-dcgm" }}{{ end -}}
{{- if .gpuProcesses }}{{ $packs = append $packs "gpu-processes" }}{{ end -}}
{{- if ternary $.Values.gpuExporter.enabled .gpuPods (kindIs "invalid" .gpuPods) }}{{ $packs = append $packs "gpu-pods" }}{{ end -}}
{{- if .httpRequests }}{{ $packs = append $packs "http-requests" }}{{ end -}}
{{- if .cadvisorResources }}{{ $packs = append $packs "resource-rules" }}{{ end -}}
{{- end -}}
{{- toJson $packs -}}
{{- end -}}

{{/* The rule file: packs first, because of two rules for one metric the later is used. */}}
{{- define "metrics-apiserver.ruleFile" -}}
{{- $rules := list -}}
{{- $external := list -}}
{{- $resource := dict -}}
{{- range include "metrics-apiserver.packs" . | fromJsonArray -}}
{{- $pack := $.Files.Get (printf "files/rules/%s.yaml" .) | fromYaml -}}
{{- $rules = concat $rules (default list $pack.rules) -}}
{{- $external = concat $external (default list $pack.externalRules) -}}
{{- with $pack.resourceRules }}{{ $resource = . }}{{ end -}}
{{- end -}}
{{- $rules = concat $rules (default list .Values.rules.custom) -}}
{{- $external = concat $external (default list .Values.rules.external) -}}
{{- range $half, $given := default dict .Values.rules.resource -}}
{{- if $given }}{{ $_ := set $resource $half $given }}{{ end -}}
{{- end -}}
{{- $file := dict "rules" $rules -}}
{{- if $external }}{{ $_ := set $file "externalRules" $external }}{{ end -}}
{{- if $resource }}{{ $_ := set $file "resourceRules" $resource }}{{ end -}}
{{- toYaml $file -}}
{{- end -}}

{{/* The APIServices of this release, as a JSON list of {group, version, priority}. */}}
{{- define "metrics-apiserver.groupVersions" -}}
{{- $file := include "metrics-apiserver.ruleFile" . | fromYaml -}}
{{- $wanted := .Values.apiServices -}}
{{- $found := list -}}
{{- if ternary (not (empty $file.rules)) $wanted.custom (kindIs "invalid" $wanted.custom) -}}
{{- $found = append $found (dict "group" "custom.metrics.k8s.io" "version" "v1beta1" "priority" 100) -}}
{{- $found = append $found (dict "group" "custom.metrics.k8s.io" "version" "v1beta2" "priority" 200) -}}
{{- end -}}
{{- if ternary (not (empty $file.externalRules)) $wanted.external (kindIs "invalid" $wanted.external) -}}
{{- $found = append $found (dict "group" "external.metrics.k8s.io" "version" "v1beta1" "priority" 100) -}}
{{- end -}}
{{- if ternary (not (empty $file.resourceRules)) $wanted.resource (kindIs "invalid" $wanted.resource) -}}
{{- $found = append $found (dict "group" "metrics.k8s.io" "version" "v1beta1" "priority" 100) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Not empty if this server answers the group in the second place of the list. */}}
{{- define "metrics-apiserver.answers" -}}
{{- $group := index . 1 -}}
{{- range include "metrics-apiserver.groupVersions" (index . 0) | fromJsonArray -}}
{{- if eq .group $group }}yes{{ end -}}
{{- end -}}
{{- end -}}

{{/* Their names, as a JSON list. */}}
{{- define "metrics-apiserver.apiServiceNames" -}}
{{- $names := list -}}
{{- range include "metrics-apiserver.groupVersions" . | fromJsonArray -}}
{{- $names = append $names (printf "%s.%s" .version .group) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
