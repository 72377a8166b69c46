# Everything a developer does. `make` alone prints this menu; `make test` is what CI runs.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0

BIN   := bin/ell
CACHE := .cache

help: ## print this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

build: ## build bin/ell
	go build -trimpath -ldflags "-s -w" -o $(BIN) ./cmd/ell

run: ## run the whole system from source
	go run ./cmd/ell

test: tools-test lint unit race interop browser deploy-check stack-test ## everything CI checks; installs what it needs
	@echo "all checks passed"

tools-test:
	scripts/need-tools

unit: ## unit, fault and end-to-end tests
	go vet ./...
	scripts/go-test -timeout 9m ./...

race: ## the concurrent packages under the race detector
	CGO_ENABLED=1 scripts/go-test -race -short -timeout 9m $(RACE)
RACE := ./internal/board ./internal/hub ./internal/embedded ./internal/exactly ./internal/kafka ./internal/web ./internal/app ./internal/weather ./internal/gateway ./internal/registry ./internal/access ./internal/check

interop: build ## clients that nobody here wrote: kcat, librdkafka, kafkajs, Kafka's own tools, curl
	test/interop/run

browser: build ui ## the website in Chromium
	test/browser/run

stack: ## start Apache Kafka, Connect, a registry and PostgreSQL on loopback (BROKERS=3)
	deploy/local/up

stack-stop: ## stop them
	deploy/local/down

stack-wipe: ## stop them and delete what they hold
	deploy/local/down --wipe

stack-test: ## the pipeline on real Kafka, short: start, flow, a row, a broker killed
	ELL_TEST_STACK=1 scripts/go-test -short -v -timeout 9m ./test/stack

test-faults: ## the pipeline on real Kafka, long: thirty faults, scale-out, a full disk
	ELL_TEST_STACK=1 go test -v -timeout 60m ./test/stack

ui: ## build the website and fail when ui/dist differs from what is committed
	scripts/ui

lint: $(CACHE)/golangci-lint ## golangci-lint with the import table
	go mod tidy -diff
	$(CACHE)/golangci-lint run ./...

$(CACHE)/golangci-lint: tools/go.mod
	@mkdir -p $(CACHE)
	@echo "building golangci-lint (once, some minutes)"
	cd tools && go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

deploy-check: build $(CACHE)/deploy/prometheus ## compose files, Dockerfile, alerts and dashboards, without Docker
	@[ -d $(CACHE)/stack/kafka ] || deploy/local/up nothing # fetches Kafka, whose own code reads the settings
	cd deploy/check && go vet ./... && ../../scripts/go-test -timeout 5m ./...

$(CACHE)/deploy/prometheus: deploy/check/go.mod
	@mkdir -p $(@D)
	@echo "building promtool and Prometheus (once, some minutes)"
	cd deploy/check && go build -tags remove_all_sd,enable_dns_sd -o ../../$(@D)/ github.com/prometheus/prometheus/cmd/promtool github.com/prometheus/prometheus/cmd/prometheus
	@touch $@

fuzz: ## every fuzz target for 30 s
	scripts/fuzz 30s

bench: build ## all measurements, against peers too; FULL=1 for the full amounts (hours)
	bench/run

golden: ## write the golden files anew (review the difference)
	go test ./internal/... -update

screenshots: build ## pictures of every page into docs/screenshots
	test/browser/run screenshots.mjs

vuln: ## known vulnerabilities in what is called (needs the public database)
	go run golang.org/x/vuln/cmd/govulncheck@v1.2.0 ./...

clean: ## remove what was built
	rm -rf bin $(CACHE)

.PHONY: help build run test tools-test unit race interop browser stack stack-stop stack-wipe stack-test test-faults ui lint fuzz bench golden screenshots vuln clean deploy-check
