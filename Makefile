VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# As the tests do: a place of your own keeps them for other checkouts.
PARTS   := $(or $(PODRELOAD_PARTS),build/parts)
N       ?= 200
ROUNDS  ?= 5000
CHANGES ?= 100000
MANY    := 10,100

CONTAINERD := github.com/containerd/containerd/v2
V2         := v2.4.2
RUNC       := v1.4.0
KUBERNETES := v1.36.3

CODE        := cmd daemonset nsenter shim testenv
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build parts parts-kubernetes image test test-kubernetes faults soak demo bench bench-many bench-fleet vet lint ci clean

help: ## print this help
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

# podreload knows the digest of the shim of its own build and takes no other.
build: ## build bin/podreload and bin/podreload-shim: static, stripped, reproducible
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/ ./cmd/podreload-shim
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS) -X main.shimDigest=$$(sha256sum bin/podreload-shim | cut -d' ' -f1)" -o bin/ ./cmd/podreload

parts: $(PARTS)/done ## get containerd, runc, nginx… into build/parts; nothing is installed

# Without a C compiler there is no race detector: the one thing that is installed.
$(PARTS)/cc:
	@mkdir -p $(PARTS)
	@if ! echo '#include <stdlib.h>' | $${CC:-gcc} -E - >/dev/null 2>&1; then \
		echo "parts: installing gcc and libc6-dev for -race"; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev; fi
	@touch $@

$(PARTS)/debs: testenv/parts/fetch
	@testenv/parts/fetch $(PARTS)
	@touch $@

$(PARTS)/containerd-$(V2):
	@echo "parts: building containerd $(V2) (once; 1 to 5 minutes)"
	@GOBIN=$(abspath $(PARTS))/containerd-v2 CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" \
		$(foreach c,containerd containerd-shim-runc-v2 ctr,$(CONTAINERD)/cmd/$(c)@$(V2))
	@touch $@

# User namespaces want runc 1.2. PKG_CONFIG=true: it is asked where libseccomp is, and we say that.
$(PARTS)/runc-$(RUNC): $(PARTS)/cc $(PARTS)/debs
	@echo "parts: building runc $(RUNC) (once; a minute)"
	@GOBIN=$(abspath $(PARTS))/containerd-v2 CGO_ENABLED=1 PKG_CONFIG=true CGO_CFLAGS="-O2 -I$(abspath $(PARTS))/root/usr/include" \
		CGO_LDFLAGS="-L$(abspath $(PARTS))/root/usr/lib/$$($${CC:-gcc} -print-multiarch) -l:libseccomp.a" \
		go install -trimpath -ldflags "-s -w" -tags seccomp github.com/opencontainers/runc@$(RUNC)
	@touch $@

$(PARTS)/pause: testenv/pause/main.go
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ ./testenv/pause

$(PARTS)/receiver: testenv/bench/receiver/main.go
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ ./testenv/bench/receiver

$(PARTS)/done: $(PARTS)/cc $(PARTS)/debs $(PARTS)/pause $(PARTS)/containerd-$(V2) $(PARTS)/runc-$(RUNC)
	@touch $@

# buildah in a folder of its own: only the image needs it.
$(PARTS)/buildah/done: testenv/parts/fetch
	@testenv/parts/fetch $(PARTS)/buildah buildah golang-github-containers-common golang-github-containers-image
	@touch $@

# One program of all parts of Kubernetes and kubectl, from a module of its own.
# Known by what they say, not by their age: a new checkout does not build it anew.
HYPERKUBE := testenv/kubernetes/hyperkube
HYPERKUBE_DONE := $(PARTS)/kubernetes/$(KUBERNETES)-$(shell cat $(HYPERKUBE)/main.go $(HYPERKUBE)/go.mod $(HYPERKUBE)/go.sum | sha256sum | cut -c1-12)
$(HYPERKUBE_DONE):
	@grep -q ' k8s.io/kubernetes $(KUBERNETES)$$' $(HYPERKUBE)/go.mod || { echo "parts: $(HYPERKUBE)/go.mod requires another Kubernetes than $(KUBERNETES)"; exit 1; }
	@echo "parts: building Kubernetes $(KUBERNETES) (once; 5 to 10 minutes)"
	@mkdir -p $(@D)
	@cd $(HYPERKUBE) && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES)" -o $(abspath $(@D))/kubernetes .
	@touch $@

parts-kubernetes: parts $(HYPERKUBE_DONE) $(PARTS)/buildah/done ## get Kubernetes and buildah into build/parts, too

IMAGE    ?= podreload.io/podreload:$(VERSION)
PLATFORM ?= linux/$(shell go env GOARCH)

image: parts $(PARTS)/buildah/done ## build the Dockerfile with buildah and this machine's Go into build/image/podreload.tar
	go run ./testenv/kubernetes/image -tag $(IMAGE) -version $(VERSION) -revision $$(git rev-parse HEAD) -platform $(PLATFORM) -o build/image/podreload.tar

test: build parts ## unit and end-to-end tests on the real parts, with -race
	go test -race -count=1 -timeout 60m ./...

test-kubernetes: parts-kubernetes ## install the image and the manifests on a real Kubernetes of one node, and live with it
	@for n in 1 2; do go run ./testenv/kubernetes/image -tag podreload.io/podreload:e2e-$$n -version e2e-$$n -o build/image/e2e-$$n.tar || exit 1; done
	go test -race -count=1 -timeout 40m -v ./testenv/kubernetes/e2e -kubernetes

faults: build parts ## kill agent, shim, nginx, containerd, etcd… 5000 times under load; ROUNDS=100 is quicker
	go test -race -count=1 -timeout 24h -run TestFaults -v ./testenv/faults -faults.rounds=$(ROUNDS)

soak: build parts ## 100,000 changes over 50 pods that come and go, a flood of a minute, a million keys: nothing may grow; about 25 minutes, CHANGES=10000 is quicker
	go test -count=1 -timeout 24h -v ./testenv/soak -soak.changes=$(CHANGES) -soak.pods=$(if $(PODS),$(PODS),50) -soak.every=5s -soak.plot=$(CURDIR)/testenv/plots/soak.svg -soak.flood=1m -soak.keys=1000000 -soak.puts=200

demo: build parts ## play the whole story once; KEEP=1 leaves it running
	go run ./testenv/demo

bench: build parts $(PARTS)/receiver ## measure the crossing against other ways; N=1000 measures more often, CONFD=path adds confd
	go run ./testenv/bench -n $(N) -pods $(if $(PODS),$(PODS),$(MANY))

bench-many: build parts ## measure one change in 10, 100 and 250 pods of nginx, and draw it; about ten minutes, 4 GB
	go run ./testenv/bench -n 0 -pods 10,100,250 -plots testenv/plots

bench-fleet: ## measure what 1 to 1000 agents cost an etcd of three members; about nine minutes, no root
	go run ./testenv/fleet

vet: ## go vet
	go vet ./...

lint: vet ## vet, gofmt, staticcheck, and the alerts as Prometheus reads them
	@files=$$(gofmt -l $(CODE)); test -z "$$files" || { echo "gofmt -w these:"; echo "$$files"; exit 1; }
	go run $(STATICCHECK) ./...
	cd testenv/rules && go run . ../../daemonset/manifests/monitoring/prometheusrule.yaml

ci: lint test test-kubernetes demo ## what .ci/run calls

clean: ## delete bin and build; Go's own caches stay
	rm -rf bin build
