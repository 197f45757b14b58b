{{/* What values say that does nothing. Helm passes over unknown keys, and so does this chart: values
     files for prometheus-adapter have some. NOTES.txt tells them. */}}

{{/* A line for each unknown key, as a JSON list. The keys are those of the schema; a key of Kubernetes'
     own objects, or of rules, is nobody's to judge here. */}}
{{- define "metrics-apiserver.unknownValues" -}}
{{- $schema := .Files.Get "files/values.schema.json" | fromJson -}}
{{- $found := dict "lines" list -}}
{{- $_ := include "metrics-apiserver.unknownBelow" (dict "values" .Values "node" $schema "above" "" "root" $schema "found" $found) -}}
{{- toJson $found.lines -}}
{{- end -}}

{{/* Adds to found.lines; takes the values at a place, their node of the schema, and the place. */}}
{{- define "metrics-apiserver.unknownBelow" -}}
{{- $at := . -}}
{{- range $key, $value := .values -}}
{{- $node := index $at.node.properties $key -}}
{{- if not (hasKey $at.node.properties $key) -}}
{{- $near := include "metrics-apiserver.meant" (dict "key" $key "at" $at) -}}
{{- $line := printf "%s%s" $at.above $key -}}
{{- if eq $line "image.registry" }}{{ $line = "image.registry: write it in front of image.repository" }}
{{- else if $near }}{{ $line = printf "%s: did you mean %s?" $line $near }}{{ end -}}
{{- $_ := set $at.found "lines" (append $at.found.lines $line) -}}
{{- else if and (kindIs "map" $value) (hasKey $node "properties") -}}
{{- $_ := include "metrics-apiserver.unknownBelow" (dict "values" $value "node" $node "above" (printf "%s%s." $at.above $key) "root" $at.root "found" $at.found) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The known key that an unknown one is nearest to: beside it, or else of that name elsewhere. */}}
{{- define "metrics-apiserver.meant" -}}
{{- $at := .at -}}
{{- $key := .key -}}
{{- $wanted := include "metrics-apiserver.variants" $key | fromJsonArray -}}
{{- $near := "" -}}
{{- range $known, $_ := $at.node.properties -}}
{{- range include "metrics-apiserver.variants" $known | fromJsonArray -}}
{{- if and (not $near) (has . $wanted) }}{{ $near = printf "%s%s" $at.above $known }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $exact := first $wanted -}}
{{- range $known, $_ := $at.node.properties -}}
{{- if and (not $near) (gt (len $exact) 4) (hasSuffix $exact (lower $known)) }}{{ $near = printf "%s%s" $at.above $known }}{{ end -}}
{{- end -}}
{{- if not $near -}}
{{- range $section, $node := $at.root.properties -}}
{{- range $known, $_ := default dict $node.properties -}}
{{- $whole := lower (printf "%s%s" $section $known) -}}
{{- $alone := and (not $at.above) (not (has $known (list "enabled" "name" "create"))) (eq $exact (lower $known)) -}}
{{- if and (not $near) (or $alone (eq $exact $whole)) }}{{ $near = printf "%s.%s" $section $known }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $near -}}
{{- end -}}

{{/* A name in small letters without marks, and what is left of it when any one letter is dropped: two
     names that share one of these differ by a slip of the finger. A JSON list. */}}
{{- define "metrics-apiserver.variants" -}}
{{- $name := regexReplaceAll "[^a-z0-9]" (lower .) "" | trunc 64 -}}
{{- $variants := list $name -}}
{{- if gt (len $name) 2 -}}
{{- range $index, $_ := until (len $name) -}}
{{- $variants = append $variants (printf "%s%s" (substr 0 $index $name) (substr (int (add1 $index)) (len $name) $name)) -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $variants) -}}
{{- end -}}

{{/* A mapping whose values are strings, as labels and annotations must be. */}}
{{- define "metrics-apiserver.strings" -}}
{{- $strings := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value }}{{ $value = "" }}{{ end -}}
{{- if and (kindIs "float64" $value) (eq $value (floor $value)) }}{{ $value = int64 $value }}{{ end -}}
{{- $_ := set $strings $key (toString $value) -}}
{{- end -}}
{{- toYaml $strings -}}
{{- end -}}
