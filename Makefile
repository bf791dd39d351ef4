# What is downloaded or built once and kept between runs.
export CERTWRIGHT_CACHE ?= $(HOME)/.cache/certwright
export CARGO_TARGET_DIR ?= $(CERTWRIGHT_CACHE)/target

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## show Certwright at work; options in ARGS: make demo ARGS=--help
	@examples/demo/run $(ARGS)

.PHONY: test
test: ## run everything that CI runs
	@tests/run

.PHONY: generate
generate: ## make crds/, the chart's copies of it and deploy/install.yaml
	@deploy/generate

.PHONY: bench
bench: ## measure against the API server's own limit; N=1000 ROUNDS=3; ACME=1 (as root): against the CA's own; ROLLOUT=1: N workloads
	@tests/cluster/build
	@$(if $(ACME),tests/cluster/fetch)
	@cargo bench --quiet --bench cluster -- $(if $(ACME),acme)$(if $(ROLLOUT),rollout) $(N) $(ROUNDS)

.PHONY: cluster
cluster: ## start a Kubernetes with a real node, until Ctrl-C; needs root
	@tests/cluster/start

.PHONY: image
image: ## build the container image, and print where it is
	@deploy/image

.PHONY: cluster-tools
cluster-tools: ## build or fetch the programs of the test cluster (minutes the first time, then nothing)
	@tests/cluster/build --node
	@tests/cluster/fetch

.PHONY: clean
clean: ## remove what was built and cached
	@cd "$(CERTWRIGHT_CACHE)" && du -sch bin go-build target tools 2>/dev/null || true
	@cd "$(CERTWRIGHT_CACHE)" && rm -rf bin go-build target tools
