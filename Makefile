# tracewire: everything is one command on a fresh Debian with Go, gcc and make.
# 'make help' lists the commands.

GO     ?= go
ifeq ($(origin CC),default) # make's is cc, and Go's is gcc
CC     = gcc
endif
PREFIX ?= /usr/local
FUZZTIME ?= 3s

# Programs that tests run beside tracewire, and the packages that have them.
PEERS = traceroute mtr-tiny scamper tcptraceroute nmap hping3 iputils-tracepath \
        tcpdump tshark jc nftables iproute2 libcap2-bin util-linux zstd

MAN = $(DESTDIR)$(PREFIX)/share/man/man1
PAGES = replay diff craft explain privileges

SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Go stamps programs with the commit, and fails where git refuses to say it: in a
# checkout that belongs to another user.
ifneq ($(shell [ ! -e .git ] || git rev-parse HEAD >/dev/null 2>&1 || echo refused),)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif

.PHONY: help build run test check bench mutate install uninstall man pcap peers fuzz clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 22

build: pcap ## build bin/tracewire and bin/tracelab
	$(GO) build -trimpath -o bin/ ./cmd/tracewire ./cmd/tracelab

# Without TARGET the trace goes through a simulated network, which needs neither
# a network nor a privilege.
run: build ## trace a path: make run, or make run TARGET=example.org
	@bin=$$PWD/bin/tracewire; \
	if [ -z "$(TARGET)" ]; then echo "$(strip bin/tracelab run demo -- bin/tracewire $(ARGS)) www.example"; \
		exec bin/tracelab run demo -- "$$bin" $(ARGS) www.example; \
	elif [ "$$(id -u)" = 0 ] || getcap "$$bin" 2>/dev/null | grep -q cap_net_raw; then exec "$$bin" $(ARGS) $(TARGET); \
	elif command -v sudo >/dev/null; then echo "sudo $$bin $(ARGS) $(TARGET)"; exec sudo "$$bin" $(ARGS) $(TARGET); \
	else echo "make run: sending frames needs a privilege; as root, once: setcap cap_net_raw+ep $$bin" >&2; exit 1; fi

test: pcap ## run the tests, and list which were skipped and why
	$(call tested,-timeout 5m ./...)

# The list at the end takes the place of gotestsum's own, which has a script's whole
# output. A program with the race detector waits at its end for what others may still
# find: by default a second, and the scripts run hundreds.
define tested
@json=$$(mktemp) && trap 'rm -f "$$json"' EXIT && export GORACE=atexit_sleep_ms=50 && \
echo "$(GO) test $(1)" && \
$(GO) tool gotestsum --format pkgname --hide-summary skipped --jsonfile "$$json" \
	--post-run-command '$(GO) run ./cmd/internal/skipped' -- $(1)
endef

check: pcap ## run what else must hold: format, vet, staticcheck, race detector, fuzzing
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "not gofmt-ed: $$files" >&2; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) vet -tags record ./cmd/tracelab
	CGO_ENABLED=0 $(GO) vet ./...
	GOOS=darwin CGO_ENABLED=0 $(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(call tested,-race -short -timeout 10m ./...)
	@$(MAKE) --no-print-directory fuzz

fuzz: pcap ## run every fuzz target for FUZZTIME
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
		done; \
	done

bench: pcap ## run the benchmarks: replay is measured beside tcpdump
	$(GO) test -run '^$$' -bench . ./...

# Mutants are judged by the tests of their own package, those of frames in memory: without
# cgo nothing is captured live, and linking takes no C compiler. What is still running
# after TIMEOUTS times as long as all tests take counts as neither killed nor alive.
MUTATE   ?= craft matcher matcher/path matcher/session matcher/findings
WORKERS  ?= 1
TIMEOUTS ?= 4
GREMLINS ?= github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0

mutate: tools ## change one expression at a time: which changes does no test notice?
	@set -e; gremlins=$$(mktemp -d); trap 'rm -rf "$$gremlins"' EXIT; GOBIN="$$gremlins" $(GO) install $(GREMLINS); \
	export CGO_ENABLED=0 GOFLAGS="-short -vet=off -ldflags=-w"; \
	for package in $(MUTATE); do \
		echo "$$package"; $(GO) test "./$$package" >/dev/null; \
		nice "$$gremlins/gremlins" unleash --workers $(WORKERS) --timeout-coefficient $(TIMEOUTS) -E / -S lt "./$$package"; \
	done

install: build ## install the programs, one with the capability it needs, and the manual pages
	@[ -z "$(SUDO)" ] || command -v sudo >/dev/null || { echo "sudo is missing: run 'make install' as root, who alone may give a program a capability" >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin:/sbin" command -v setcap >/dev/null || { echo "setcap is missing. On Debian, as root: apt-get install libcap2-bin" >&2; exit 1; }
	$(SUDO) install -D bin/tracelab $(DESTDIR)$(PREFIX)/bin/tracelab
	$(SUDO) install -D bin/tracewire $(DESTDIR)$(PREFIX)/bin/tracewire
	$(SUDO) env PATH="$$PATH:/usr/sbin:/sbin" setcap cap_net_raw+ep $(DESTDIR)$(PREFIX)/bin/tracewire
	bin/tracewire man | $(SUDO) install -D -m 644 /dev/stdin $(MAN)/tracewire.1
	for page in $(PAGES); do bin/tracewire man $$page | $(SUDO) install -D -m 644 /dev/stdin $(MAN)/tracewire-$$page.1; done

uninstall: ## remove what install has installed
	$(SUDO) rm -f $(DESTDIR)$(PREFIX)/bin/tracewire $(DESTDIR)$(PREFIX)/bin/tracelab \
		$(MAN)/tracewire.1 $(PAGES:%=$(MAN)/tracewire-%.1)

man: build ## show the manual page
	@bin/tracewire man | man -l -

clean: ## remove what build has built
	rm -rf bin

# What is missing is said in a line. Go before 1.21 cannot even read go.mod; from
# then on it fetches the version that go.mod names.
.PHONY: tools
tools:
	@version=$$(sed -n 's/^go //p' go.mod); \
	command -v $(firstword $(GO)) >/dev/null || { echo "Go is missing. tracewire needs Go $$version: see https://go.dev/dl" >&2; exit 1; }; \
	case "$$($(GO) env GOVERSION)" in ""|go1|go1.?|go1.?.*|go1.1?|go1.1?.*|go1.20|go1.20.*) \
		echo "$$($(GO) version) is too old. tracewire needs Go $$version: see https://go.dev/dl" >&2; exit 1;; esac
	@command -v $(firstword $(CC)) >/dev/null || { echo "The C compiler $(CC) is missing. On Debian, as root: apt-get install gcc libc6-dev" >&2; exit 1; }

# libpcap's header is all that is needed besides Go and a C compiler.
pcap: tools
	@echo '#include <pcap.h>' | $(CC) -E -xc - >/dev/null 2>&1 || $(MAKE) --no-print-directory install-pcap

.PHONY: install-pcap
install-pcap:
	@if ! command -v apt-get >/dev/null; then \
		echo "libpcap's header pcap.h is missing. Install it:" >&2; \
		if command -v dnf >/dev/null; then echo "  sudo dnf install libpcap-devel" >&2; \
		elif command -v pacman >/dev/null; then echo "  sudo pacman -S libpcap" >&2; \
		elif command -v apk >/dev/null; then echo "  sudo apk add libpcap-dev" >&2; \
		elif command -v zypper >/dev/null; then echo "  sudo zypper install libpcap-devel" >&2; \
		else echo "  the package is called libpcap-dev or libpcap-devel" >&2; fi; \
		exit 1; \
	elif [ -n "$(SUDO)" ] && ! command -v sudo >/dev/null; then \
		echo "libpcap's header pcap.h is missing. As root: apt-get install libpcap-dev" >&2; exit 1; \
	fi
	$(call apt,libpcap-dev)

peers: ## install the programs that tests run beside tracewire
	$(call apt,$(PEERS))

# The lists of packages are fetched where they are missing or too old.
define apt
@set -e; get="$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get"; \
echo "$(strip $(SUDO) apt-get install -y $(1))"; \
$$get install -qq -y --no-install-recommends $(1) >/dev/null 2>&1 || { \
	$$get update -qq; $$get install -qq -y --no-install-recommends $(1) >/dev/null; }
endef
