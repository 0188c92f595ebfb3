module tepal.test/prometheus

go 1.25.0

require github.com/prometheus/prometheus v0.309.1
