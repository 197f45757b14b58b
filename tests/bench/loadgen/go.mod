module metrics-apiserver/tests/bench/loadgen

go 1.25.0
