//go:build programs

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/antares-actor/antares-actor/remote/origintest"
)

// Programs that Debian has in large packages only, or that take long: make programs installs them and runs this.

func TestBuildersLeaveWhatTheyLeaveInAPlainDirectory(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	writeCrates(t, repo)
	writePackages(t, repo)
	writeBazel(t, repo)
	repo.Commit(t, "projects")
	for name, p := range builders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.works(t, suite.New(t), repo)
		})
	}
}

func builders() map[string]program {
	return map[string]program{
		"cargo": {
			needs: map[string]string{"cargo": "cargo"},
			env:   append(toolchainHome(), "CARGO_INCREMENTAL=0", "CARGO_TERM_COLOR=never"),
			skip:  []string{".fingerprint", "incremental", ".cargo-lock", ".rustc_info.json", "*.d", "stderr", "output"}, // .rustc_info.json has no order
			script: `
				cd crates; export CARGO_INCREMENTAL=1; cargo build --offline --quiet; test "$(target/debug/top)" = 'made by build.rs: 45'; cargo build --offline 2>&1 | (! grep Compiling)
				sed -i 's/i + 1/i + 2/' part1/src/lib.rs; cargo test --offline --quiet > log; cargo build --offline --quiet; cargo build --offline --release --quiet; target/release/top; cargo clean --offline --quiet; rm log
				export CARGO_INCREMENTAL=0; cargo build --offline --quiet # what it builds incrementally differs each time`,
			after: `cd crates; cargo build --offline 2>&1 | (! grep Compiling); touch top/src/main.rs; cargo build --offline 2>&1 | grep 'Compiling top' > /dev/null; cargo clean --offline --quiet; ! test -e target`,
		},
		"npm": {
			needs: map[string]string{"npm": "npm"},
			env:   []string{"npm_config_offline=true", "npm_config_audit=false", "npm_config_fund=false", "npm_config_update_notifier=false"},
			script: `
				cd node; mkdir tgz; npm pack --silent --pack-destination tgz ./packages/* > /dev/null; npm install --silent; node app.js | grep -x 'sum 780' > /dev/null
				npm ls > /dev/null; npm ci --silent; npm uninstall --silent p39; npm install --silent ./tgz/p39-1.0.0.tgz; npm install --silent ./packages/p0; node app.js; rm -f node_modules/.package-lock.json`,
			after: `cd node; node app.js | grep -x 'sum 780' > /dev/null; npm ci --silent; node node_modules/.bin/p7 | grep -x 'p7 runs' > /dev/null; rm -r node_modules; npm install --silent; node app.js > /dev/null`,
		},
		"python venv with pip": {
			needs:  map[string]string{"python3": "python3-venv"},
			skip:   []string{"__pycache__"},
			script: `python3 -m venv env > log; env/bin/pip --version | grep '^pip' > /dev/null; rm log`,
			after:  `env/bin/pip list --disable-pip-version-check > /dev/null; python3 -m venv --upgrade env; env/bin/pip uninstall -q -y setuptools; ! env/bin/python -c 'import setuptools' 2> /dev/null`,
		},
		"bazel": {
			needs: map[string]string{"bazel": "bazel-bootstrap", "c++": "g++"},
			skip:  []string{"output"},
			script: `
				root=$PWD/output; cd bazel; build() { bazel --output_user_root=$root build --symlink_prefix=made- //... 2>> log; }; export USER=builder; trap 'bazel --output_user_root=$root shutdown' EXIT
				build || { cat log; exit 1; }; made-bin/hello | grep -x 'hello 42' > /dev/null; build; echo 'int part() { return 43; }' > part.cc; build; made-bin/hello | grep -x 'hello 43' > /dev/null
				cp -L made-bin/hello made-bin/generated.txt .; rm log`,
			after: `
				root=$PWD/output; cd bazel; export USER=builder; trap 'bazel --output_user_root=$root shutdown' ERR; bazel --output_user_root=$root build --symlink_prefix=made- //... 2>&1 | grep '1 process: 1 internal' > /dev/null; cmp made-bin/hello hello
				bazel --output_user_root=$root clean --expunge 2> /dev/null; chmod -R u+w $root; rm -r $root; ! test -e $root`,
		},
	}
}

// toolchainHome has rustup find the user's compiler, where it is in use: the lab's home has none.
func toolchainHome() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(home, ".rustup")); err != nil {
		return nil
	}
	return []string{"RUSTUP_HOME=" + filepath.Join(home, ".rustup")}
}

func writeCrates(t *testing.T, repo *origintest.Repo) {
	t.Helper()
	members, uses, sum := "", "", "0"
	for i := range 10 {
		name := fmt.Sprint("part", i)
		members += fmt.Sprintf("%q, ", name)
		uses += fmt.Sprintf("%s = { path = \"../%[1]s\" }\n", name)
		sum += fmt.Sprintf(" + %s::value(%d) - 1", name, i)
		repo.Write(t, "crates/"+name+"/Cargo.toml", fmt.Sprintf("[package]\nname = %q\nversion = \"1.0.0\"\nedition = \"2021\"\n", name), 0o644)
		repo.Write(t, "crates/"+name+"/src/lib.rs", "pub fn value(i: i32) -> i32 { i + 1 }\n#[test]\nfn counts() { assert!(value(1) > 1); }\n", 0o644)
	}
	repo.Write(t, "crates/Cargo.toml", "[workspace]\nmembers = ["+members+"\"top\"]\n", 0o644)
	repo.Write(t, "crates/top/Cargo.toml", "[package]\nname = \"top\"\nversion = \"1.0.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n[dependencies]\n"+uses, 0o644)
	repo.Write(t, "crates/top/build.rs", "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    std::fs::write(format!(\"{out}/made.rs\"), \"const MADE: &str = \\\"made by build.rs\\\";\").unwrap();\n    println!(\"cargo:rerun-if-changed=build.rs\");\n}\n", 0o644)
	repo.Write(t, "crates/top/src/main.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\nfn main() { println!(\"{MADE}: {}\", "+sum+"); }\n", 0o644)
}

func writePackages(t *testing.T, repo *origintest.Repo) {
	t.Helper()
	depend, use := "", ""
	for i := range 40 {
		name := fmt.Sprint("p", i)
		depend += fmt.Sprintf("%q: \"file:tgz/%s-1.0.0.tgz\", ", name, name)
		use += fmt.Sprintf(" + require(%q)", name)
		repo.Write(t, "node/packages/"+name+"/package.json", fmt.Sprintf("{\"name\": %q, \"version\": \"1.0.0\", \"bin\": {%[1]q: \"bin/run.js\"}}\n", name), 0o644)
		repo.Write(t, "node/packages/"+name+"/index.js", fmt.Sprintf("module.exports = %d\n", i), 0o644)
		repo.Write(t, "node/packages/"+name+"/bin/run.js", fmt.Sprintf("#!/usr/bin/env node\nconsole.log('%s runs')\n", name), 0o755)
		for j := range 15 {
			repo.Write(t, fmt.Sprintf("node/packages/%s/lib/%d/part%d.js", name, j%3, j), fmt.Sprintf("exports.x = %d\n", j), 0o644)
		}
	}
	repo.Write(t, "node/package.json", "{\"name\": \"app\", \"version\": \"1.0.0\", \"dependencies\": {"+depend[:len(depend)-2]+"}}\n", 0o644)
	repo.Write(t, "node/app.js", "console.log('sum', 0"+use+")\n", 0o644)
}

// writeBazel makes a workspace that needs no network: Debian's C++ rules are newer than its bazel, which has them built in.
func writeBazel(t *testing.T, repo *origintest.Repo) {
	t.Helper()
	for path, text := range map[string]string{
		"WORKSPACE": "local_repository(name = \"rules_cc\", path = \"rules_cc\")\n" +
			"local_repository(name = \"rules_java\", path = \"/usr/share/bazel/rules/java\")\n" +
			"local_repository(name = \"rules_proto\", path = \"/usr/share/bazel/rules/proto\")\n" +
			"local_repository(name = \"platforms\", path = \"/usr/share/bazel/tools/platforms\")\n",
		".bazelrc":           "startup --max_idle_secs=30\n",
		".bazelignore":       "rules_cc\n",
		"BUILD":              "cc_library(name = \"part\", srcs = [\"part.cc\"], hdrs = [\"part.h\"])\ncc_binary(name = \"hello\", srcs = [\"hello.cc\"], deps = [\":part\"])\ngenrule(name = \"generated\", srcs = glob([\"data/**\"]), outs = [\"generated.txt\"], cmd = \"cat $(SRCS) > $@\")\n",
		"part.h":             "int part();\n",
		"part.cc":            "#include \"part.h\"\nint part() { return 42; }\n",
		"hello.cc":           "#include <cstdio>\n#include \"part.h\"\nint main() { printf(\"hello %d\\n\", part()); }\n",
		"data/a":             "a\n",
		"data/sub/b":         "b\n",
		"rules_cc/WORKSPACE": "", "rules_cc/BUILD": "", "rules_cc/cc/BUILD": "",
		"rules_cc/cc/defs.bzl": "cc_binary = native.cc_binary\ncc_import = native.cc_import\ncc_library = native.cc_library\ncc_proto_library = native.cc_proto_library\n" +
			"cc_test = native.cc_test\ncc_toolchain = native.cc_toolchain\ncc_toolchain_suite = native.cc_toolchain_suite\nfdo_prefetch_hints = native.fdo_prefetch_hints\n" +
			"fdo_profile = native.fdo_profile\nobjc_import = native.objc_import\nobjc_library = native.objc_library\n\n" +
			"def _impl(ctx):\n    return [platform_common.TemplateVariableInfo({})]\n\n" +
			"cc_flags_supplier = rule(implementation = _impl, attrs = {\"_cc_toolchain\": attr.label()})\ncompiler_flag = rule(implementation = _impl)\n",
	} {
		repo.Write(t, "bazel/"+path, text, 0o644)
	}
}
