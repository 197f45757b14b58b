{{/* The kinds whose names and labels the server may read: those that nearly every rule file maps, and
     what these rules map besides. */}}

{{/* Built-in resources by API group. The first four groups' own are in the role always. */}}
{{- define "metrics-apiserver.alwaysRead" -}}
{"": ["namespaces", "nodes", "pods", "services"], "apps": ["deployments", "statefulsets"], "batch": ["jobs"], "networking.k8s.io": ["ingresses"]}
{{- end -}}

{{- define "metrics-apiserver.builtin" -}}
{"": ["configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes", "pods", "replicationcontrollers", "resourcequotas", "serviceaccounts", "services"], "apps": ["daemonsets", "deployments", "replicasets", "statefulsets"], "autoscaling": ["horizontalpodautoscalers"], "batch": ["cronjobs", "jobs"], "networking.k8s.io": ["ingressclasses", "ingresses", "networkpolicies"], "policy": ["poddisruptionbudgets"], "storage.k8s.io": ["storageclasses"]}
{{- end -}}

{{/* {read: {group: [resource]}, unread: [resource]} of the custom rules, as JSON; an external rule reads
     no objects. Secrets are never read unasked. */}}
{{- define "metrics-apiserver.mapped" -}}
{{- $read := dict -}}
{{- $unread := list -}}
{{- $extra := list -}}
{{- range default list .Values.rbac.extraReaderRules }}{{ $extra = concat $extra (default list .resources) }}{{ end -}}
{{- $always := include "metrics-apiserver.alwaysRead" . | fromJson -}}
{{- range include "metrics-apiserver.mappings" . | fromJsonArray -}}
{{- $found := include "metrics-apiserver.resolved" (dict "mapping" . "root" $) | fromJson -}}
{{- if not $found.resources -}}
{{- $granted := false -}}
{{- range include "metrics-apiserver.plurals" .resource | fromJsonArray }}{{ if has . $extra }}{{ $granted = true }}{{ end }}{{ end -}}
{{- if not (or .guess $granted) }}{{ $unread = append $unread .resource }}{{ end -}}
{{- else -}}
{{- range $found.resources -}}
{{- if not (has . (default list (index $always $found.group))) -}}
{{- $_ := set $read $found.group (append (default list (index $read $found.group)) . | uniq | sortAlpha) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "read" $read "unread" (uniq $unread) | toJson -}}
{{- end -}}

{{/* What the rules map, as a JSON list of {resource}, {group, resource} or, where only the label of a
     template tells it, {resource, guess}. */}}
{{- define "metrics-apiserver.mappings" -}}
{{- $mappings := list -}}
{{- $file := include "metrics-apiserver.ruleFile" . | fromYaml -}}
{{- range $rule := $file.rules -}}
{{- $resources := default dict $rule.resources -}}
{{- range $label, $override := $resources.overrides -}}
{{- with $override -}}
{{- $mappings = append $mappings (dict "resource" (toString (default "" .resource) | lower) "group" (toString (default "" .group))) -}}
{{- end -}}
{{- end -}}
{{- $around := regexSplit "<<-? *\\.Resource *-?>>" (toString (default "" $resources.template)) -1 -}}
{{- if and (eq (len $around) 2) (not (contains "<<" (join "" $around))) -}}
{{- range regexFindAll "[a-zA-Z_][a-zA-Z0-9_]* *(=|!)" (toString (default "" $rule.seriesQuery)) -1 -}}
{{- $label := regexReplaceAll "[ =!]" . "" -}}
{{- if and (hasPrefix (first $around) $label) (hasSuffix (last $around) $label) -}}
{{- $mappings = append $mappings (dict "resource" ($label | trimPrefix (first $around) | trimSuffix (last $around)) "guess" true) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $mappings) -}}
{{- end -}}

{{/* {group, resources} of one of those as RBAC has them, plural, or nothing. A group left out is looked
     for among Kubernetes' own, then in the cluster. */}}
{{- define "metrics-apiserver.resolved" -}}
{{- $name := .mapping.resource -}}
{{- $group := default "" .mapping.group -}}
{{- $plurals := include "metrics-apiserver.plurals" $name | fromJsonArray -}}
{{- $resources := list -}}
{{- range $known, $members := include "metrics-apiserver.builtin" . | fromJson -}}
{{- range $plurals -}}
{{- if and (not $resources) (has . $members) (or (not $.mapping.group) (eq $group $known)) -}}
{{- $group = $known -}}
{{- $resources = list . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not $resources) (not .mapping.guess) (regexMatch "^[a-z0-9-]+$" $name) (not (has "secrets" $plurals)) -}}
{{- if $group -}}
{{- if not (contains "/" $group) }}{{ $resources = $plurals }}{{ end -}}
{{- else -}}
{{- range .root.Capabilities.APIVersions -}}
{{- $parts := splitList "/" . -}}
{{- $kind := lower (last $parts) -}}
{{- if and (not $resources) (eq (len $parts) 3) (or (eq $kind $name) (has $name (include "metrics-apiserver.plurals" $kind | fromJsonArray))) -}}
{{- $group = first $parts -}}
{{- $resources = include "metrics-apiserver.plurals" $kind | fromJsonArray -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "group" $group "resources" $resources | toJson -}}
{{- end -}}

{{/* The plurals that a name may be or have; Kubernetes makes them so. A JSON list. */}}
{{- define "metrics-apiserver.plurals" -}}
{{- if regexMatch "[iosu]s$" . -}}
{{- list . (printf "%ses" .) | toJson -}}
{{- else if hasSuffix "s" . -}}
{{- list . | toJson -}}
{{- else if hasSuffix "y" . -}}
{{- list (regexReplaceAll "y$" . "ies") | toJson -}}
{{- else -}}
{{- list (printf "%ss" .) | toJson -}}
{{- end -}}
{{- end -}}
