// Oracle answers, one JSON object per line, what the Go libraries that Kubernetes and the
// predecessor are built on make of an input. The property tests compare the Python rooms with it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"text/template"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

type question struct {
	Op       string              `json:"op"`
	Text     string              `json:"text"`
	Pattern  string              `json:"pattern"`
	Template string              `json:"template"`
	Milli    string              `json:"milli"`
	Format   resource.Format     `json:"format"`
	Labels   []map[string]string `json:"labels"`
	Data     queryTemplateArgs   `json:"data"`
}

// queryTemplateArgs has the fields, names and types that the predecessor's templates see.
type queryTemplateArgs struct {
	Series            string
	LabelMatchers     string
	LabelValuesByName map[string]string
	GroupBy           string
	GroupBySlice      []string
}

type answer struct {
	Text    string          `json:"text"`
	Matches []bool          `json:"matches,omitempty"`
	Object  json.RawMessage `json:"object,omitempty"`
	Error   string          `json:"error,omitempty"`
	Stage   string          `json:"stage,omitempty"`
}

func failed(stage string, err error) answer {
	return answer{Error: err.Error(), Stage: stage}
}

func selector(q question) answer {
	parsed, err := labels.Parse(q.Text)
	if err != nil {
		return failed("parse", err)
	}
	result := answer{Text: parsed.String()}
	for _, set := range q.Labels {
		result.Matches = append(result.Matches, parsed.Matches(labels.Set(set)))
	}
	object, err := metav1.ParseToLabelSelector(q.Text)
	if err != nil {
		return result
	}
	result.Object, err = json.Marshal(object)
	if err != nil {
		return failed("encode", err)
	}
	return result
}

func quantity(q question) answer {
	milli, err := strconv.ParseInt(q.Milli, 10, 64)
	if err != nil {
		return failed("input", err)
	}
	return answer{Text: resource.NewMilliQuantity(milli, q.Format).String()}
}

func parseQuantity(q question) answer {
	parsed, err := resource.ParseQuantity(q.Text)
	if err != nil {
		return failed("parse", err)
	}
	return answer{Text: parsed.AsDec().String()}
}

func render(q question) answer {
	parsed, err := template.New("metrics-query").Delims("<<", ">>").Parse(q.Template)
	if err != nil {
		return failed("parse", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, q.Data); err != nil {
		return failed("execute", err)
	}
	return answer{Text: out.String()}
}

func expand(q question) answer {
	pattern, err := regexp.Compile(q.Pattern)
	if err != nil {
		return failed("parse", err)
	}
	match := pattern.FindStringSubmatchIndex(q.Text)
	if match == nil {
		return answer{Error: "no match", Stage: "match"}
	}
	return answer{Text: string(pattern.ExpandString(nil, q.Template, q.Text, match))}
}

func unquote(q question) answer {
	text, err := strconv.Unquote(q.Text)
	if err != nil {
		return failed("parse", err)
	}
	return answer{Text: text}
}

// char reads a character constant as text/template does.
func char(q question) answer {
	code, _, tail, err := strconv.UnquoteChar(q.Text[1:], q.Text[0])
	if err != nil {
		return failed("parse", err)
	}
	if tail != "'" {
		return failed("parse", fmt.Errorf("malformed character constant: %s", q.Text))
	}
	return answer{Text: strconv.Itoa(int(code))}
}

func reply(q question) answer {
	switch q.Op {
	case "quote":
		return answer{Text: strconv.Quote(q.Text)}
	case "unquote":
		return unquote(q)
	case "char":
		return char(q)
	case "quotemeta":
		return answer{Text: regexp.QuoteMeta(q.Text)}
	case "selector":
		return selector(q)
	case "quantity":
		return quantity(q)
	case "parse_quantity":
		return parseQuantity(q)
	case "template":
		return render(q)
	case "expand":
		return expand(q)
	}
	return answer{Error: fmt.Sprintf("unknown op %q", q.Op), Stage: "input"}
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 1<<16), 1<<24)
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	for input.Scan() {
		var q question
		result := answer{}
		if err := json.Unmarshal(input.Bytes(), &q); err != nil {
			result = failed("input", err)
		} else {
			result = reply(q)
		}
		if err := encoder.Encode(result); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		output.Flush()
	}
}
