// Command loadgen reads metrics as the aggregator's proxy does: TLS with the front-proxy client
// certificate, X-Remote-User headers, kept connections. It refuses any address but loopback, stops
// by itself, and prints one JSON line.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	base, paths, ca, cert, key, user, group string
	workers, limit                          int
	duration                                time.Duration
	rate                                    float64
}

type result struct {
	Requests  int64   `json:"requests"`
	Errors    int64   `json:"errors"`
	FirstBad  string  `json:"first_error,omitempty"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"requests_per_second"`
	Bytes     int64   `json:"bytes"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p999_ms"`
	Max       float64 `json:"max_ms"`
	// CPU that the generator itself used: near the number of cores, it is the bottleneck.
	OwnCPU float64 `json:"generator_cpu_seconds"`
}

func main() {
	var o options
	flag.StringVar(&o.base, "base", "", "https://localhost:PORT")
	flag.StringVar(&o.paths, "paths", "", "file with one request path a line")
	flag.StringVar(&o.ca, "ca", "", "PEM bundle that verifies the server")
	flag.StringVar(&o.cert, "cert", "", "client certificate")
	flag.StringVar(&o.key, "key", "", "its key")
	flag.StringVar(&o.user, "user", "system:serviceaccount:kube-system:horizontal-pod-autoscaler", "X-Remote-User")
	flag.StringVar(&o.group, "group", "system:serviceaccounts", "X-Remote-Group")
	flag.IntVar(&o.workers, "workers", 5, "requests in flight")
	flag.IntVar(&o.limit, "limit", 2_000_000, "most requests in all")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "how long; at most 10m")
	flag.Float64Var(&o.rate, "rate", 0, "requests a second at fixed times; 0 is a closed loop")
	flag.Parse()
	r, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

func run(o options) (*result, error) {
	if err := onLoopback(o.base); err != nil {
		return nil, err
	}
	if o.workers < 1 || o.workers > 1024 || o.duration > 10*time.Minute {
		return nil, fmt.Errorf("workers must be 1 to 1024 and duration at most 10m")
	}
	paths, err := readLines(o.paths)
	if err != nil {
		return nil, err
	}
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	g := &generator{o: o, client: client, paths: paths, start: time.Now()}
	var workers sync.WaitGroup
	latencies := make([][]float64, o.workers)
	for i := range o.workers {
		workers.Go(func() { latencies[i] = g.work() })
	}
	workers.Wait()
	return g.report(slices.Concat(latencies...)), nil
}

func onLoopback(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" {
		return fmt.Errorf("-base must be https://HOST:PORT")
	}
	ips, err := net.LookupIP(u.Hostname())
	if err != nil {
		return err
	}
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return fmt.Errorf("%s is not on this machine", u.Hostname())
		}
	}
	return nil
}

func readLines(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if s.Text() != "" {
			lines = append(lines, s.Text())
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s holds no path", name)
	}
	return lines, nil
}

func newClient(o options) (*http.Client, error) {
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", o.ca)
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}},
		MaxIdleConnsPerHost: o.workers, MaxIdleConns: o.workers, DisableCompression: true,
	}}, nil
}

type generator struct {
	o                    options
	client               *http.Client
	paths                []string
	start                time.Time
	next, errors, octets atomic.Int64
	firstBad             sync.Once
	firstBadText         string
}

// work sends requests until the time or the number is spent; at a fixed rate each request has its
// appointed time, and latency counts from it, so that a slow server cannot slow the clock.
func (g *generator) work() []float64 {
	var ms []float64
	for {
		n := g.next.Add(1) - 1
		began := time.Now()
		if g.o.rate > 0 {
			began = g.start.Add(time.Duration(float64(n) / g.o.rate * float64(time.Second)))
			time.Sleep(time.Until(began))
		}
		// Requests whose time is long past are not sent: the load stops by itself.
		late := time.Since(g.start) >= g.o.duration+5*time.Second
		if late || began.Sub(g.start) >= g.o.duration || n >= int64(g.o.limit) {
			g.next.Add(-1)
			return ms
		}
		if err := g.ask(g.paths[n%int64(len(g.paths))]); err != nil {
			g.errors.Add(1)
			g.firstBad.Do(func() { g.firstBadText = err.Error() })
		}
		ms = append(ms, float64(time.Since(began).Microseconds())/1000)
	}
}

func (g *generator) ask(path string) error {
	request, err := http.NewRequest(http.MethodGet, g.o.base+path, nil)
	if err != nil {
		return err
	}
	request.Header = http.Header{
		"Accept": {"application/vnd.kubernetes.protobuf, */*"}, "X-Remote-User": {g.o.user},
		"X-Remote-Group": {g.o.group, "system:authenticated"}, "User-Agent": {"loadgen"},
	}
	answer, err := g.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	octets, err := io.Copy(io.Discard, answer.Body)
	g.octets.Add(octets)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return err
}

func (g *generator) report(ms []float64) *result {
	seconds := time.Since(g.start).Seconds()
	slices.Sort(ms)
	at := func(q float64) float64 {
		if len(ms) == 0 {
			return 0
		}
		return ms[min(len(ms)-1, int(q*float64(len(ms))))]
	}
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	own := time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	return &result{
		Requests: int64(len(ms)), Errors: g.errors.Load(), FirstBad: g.firstBadText,
		Seconds: seconds, PerSecond: float64(len(ms)) / seconds, Bytes: g.octets.Load(),
		P50: at(.5), P90: at(.9), P99: at(.99), P999: at(.999), Max: at(1), OwnCPU: own,
	}
}
