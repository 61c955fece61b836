# Two commands: `make image` builds the server image and proves it, `make test` runs every test.
# The host needs a Linux kernel, with /dev/net/tun, and cargo 1.89 or newer; every other tool comes from a pinned tools tree.

RECIPE ?= recipes/debian-13-server.toml
ARGS   ?=
GOLDCAST = target/release/goldcast

.DEFAULT_GOAL := help
.PHONY: help image proof-all run mutants mutants-all test stress lint deny docs costs boots judges pictures bench clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  RECIPE=$(RECIPE)   the recipe of image and run"
	@echo "  ARGS=              more arguments for goldcast, for example ARGS=--quick"

image: $(GOLDCAST) ## Build the recipe's image into out/ and prove it by booting it
	$(GOLDCAST) build $(RECIPE) $(ARGS)

proof-all: $(GOLDCAST) ## Build and prove every recipe of recipes/
	@left=; for recipe in recipes/*.toml; do \
		echo "$(GOLDCAST) build $$recipe $(ARGS)"; $(GOLDCAST) build $$recipe $(ARGS) || left="$$left $$recipe"; \
	done; if [ "$$left" ]; then echo "not proven:$$left" >&2; exit 1; fi

run: $(GOLDCAST) ## Boot the recipe's image on this terminal (Ctrl-A X ends it)
	$(GOLDCAST) build $(RECIPE) --no-verify
	$(GOLDCAST) run $(RECIPE) $(ARGS)

mutants: $(GOLDCAST) ## Sabotage the recipe's image, copy by copy, and see that its proof notices
	$(GOLDCAST) build $(RECIPE) --no-verify
	$(GOLDCAST) verify $(RECIPE) --mutants $(ARGS)

mutants-all: $(GOLDCAST) ## Do every sabotage that there is, on the server and on recipes with what it leaves off (two hours)
	sabotage/run

test: ## Run every test; some of them build and boot images
	cargo test --release --locked

lint: deny ## Formatting, warnings, licences and sources of dependencies
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings

CARGO_DENY = $(shell command -v cargo-deny || echo target/tools/bin/cargo-deny)

deny: $(CARGO_DENY)
	$(CARGO_DENY) check bans licenses sources

# Unoptimised and without what debuggers want: it runs for seconds, and compiles in half the time.
target/tools/bin/cargo-deny:
	cargo install --debug --config profile.dev.debug=false --locked --version 0.20.2 --root target/tools --target-dir target/tools/build cargo-deny

docs: $(GOLDCAST) ## Generate schemas, manual pages, the overlays' pages and completions again
	$(GOLDCAST) schema recipe > docs/recipe.schema.json
	$(GOLDCAST) schema checks > docs/checks.schema.json
	$(GOLDCAST) schema proof > docs/proof.schema.json
	$(GOLDCAST) schema manifest > docs/manifest.schema.json
	$(GOLDCAST) schema diff > docs/diff.schema.json
	$(GOLDCAST) schema events > docs/events.schema.json
	$(GOLDCAST) man docs/man
	$(GOLDCAST) overlays --pages docs/overlays
	mkdir -p docs/completions
	$(GOLDCAST) completions bash > docs/completions/goldcast.bash
	$(GOLDCAST) completions zsh > docs/completions/_goldcast
	$(GOLDCAST) completions fish > docs/completions/goldcast.fish

costs: $(GOLDCAST) ## Measure again what the overlays' pages say of packages and sizes
	$(GOLDCAST) overlays --costs overlays/costs.toml --on recipes/minimal.toml

boots: $(GOLDCAST) ## Count again what each overlay adds to a boot (an hour or two)
	benches/boot.sh

judges: $(GOLDCAST) ## Have Lynis and OpenSCAP judge the server beside Debian as it comes (half an hour and more)
	judges/run

PAGE = out/debian-13-server/debian-13-server.proof.html

pictures: $(GOLDCAST) ## Take the pictures in docs/ again, of the page of the server's last proof
	mkdir -p target/browser
	cp $(PAGE) target/browser/page.html
	cp $(PAGE) target/browser/measured.html
	cp tests/support/browser.sh recipes/minimal.toml target/browser/
	cd target/browser && export GOLDCAST_TOOLS="$$(cat ../../tests/support/browser.tools)" && \
		../../$(GOLDCAST) lock minimal.toml && ../../$(GOLDCAST) tool minimal.toml -- sh browser.sh
	mkdir -p docs/pictures
	cp target/browser/phone.png target/browser/desktop.png target/browser/dark.png docs/pictures/

stress: ## Builds side by side with collection, 20 rounds, and 50 builds killed at any moment
	GOLDCAST_ROUNDS=20 GOLDCAST_KILLS=50 cargo test --release --locked --test cache -- --nocapture

bench: $(GOLDCAST) ## Measure against other image builders, side by side
	benches/run

clean: ## Remove outputs and build products; the download cache stays
	rm -rf out target

.PHONY: $(GOLDCAST)
$(GOLDCAST):
	cargo build --release --locked
