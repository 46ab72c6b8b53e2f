# SPDX-License-Identifier: Apache-2.0
"""What the compiler does not check: layers, fences around third-party headers, size, licence lines, layout."""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70

# A folder includes headers of itself and of these.
LAYERS = {
    "base": set(),
    "store": {"base"},
    "cache": {"store", "base"},
    "cassandra": {"base"},
    "catalog": {"cache", "store", "cassandra", "base"},
    "fs": {"catalog", "cache", "store", "cassandra", "base"},
    "tools": {"fs", "catalog", "cache", "store", "cassandra", "base"},
    "cmake": set(),
}
TESTS = ("tests", "bench")
GENERATED_HEADERS = {"base/version.h"}

# Third-party headers, and the only files that may include them, as patterns of their paths. Tests may include any.
FENCES = {
    r"fuse(_\w+)?\.h|fuse3/.*|cuse_lowlevel\.h": r"fs/.*",
    r"curl/.*": r"store/(http\.c|httpopt\.[ch])",
    r"expat\.h": r"store/xml\.c",
    r"yaml\.h": r"cassandra/(nodeconf|yamledit)\.c",
    r"lmdb\.h": r"cache/kv\.c|cache/kvenv\.[ch]",
    r"openssl/.*|xxhash\.h|xxh_x86dispatch\.h": r"base/digest\.c",
    r"libdeflate\.h": r"base/crc\.c",
    r"zstd\.h|zstd_errors\.h": r"base/zstd\.c",
    r"jansson\.h": r"base/json\.[ch]|(catalog|cassandra|tools)/.*",
    r"ini\.h": r"base/ini\.c",
    r"systemd/.*": r"tools/.*",
    r"criterion/.*": r"tests/.*",
}
# Everything else in <> comes from the C library, the compiler or the kernel.
SYSTEM_HEADERS = re.compile(
    r"(sys|linux|asm|net|netinet|arpa|bits)/.*|"
    r"(assert|byteswap|ctype|dirent|dlfcn|endian|errno|fcntl|float|fnmatch|fts|ftw|getopt|glob|grp|ifaddrs|inttypes|langinfo|"
    r"libgen|limits|locale|malloc|math|mntent|netdb|paths|poll|pthread|pwd|regex|sched|search|semaphore|setjmp|signal|"
    r"spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|termios|"
    r"threads|time|ucontext|uchar|unistd|utime|wchar|wctype|execinfo|unwind|immintrin)\.h")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>]+)>|"([^"]+)")', re.MULTILINE)
NOT_OURS = re.compile(r"tests/data/(?!make|lay-out)|tests/fuzz/corpus/|LICENSE")


def project_files():
    """Every file that belongs to the project, whether committed yet or not."""
    try:
        listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
                                 "--exclude-standard"],
                                cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        files = [Path(name) for name in listed if name]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        files = [p.relative_to(ROOT) for p in ROOT.rglob("*") if p.is_file()]
        files = [p for p in files if p.parts[0] not in ("build", ".git")]
    return sorted(p for p in files if os.path.lexists(ROOT / p) and not NOT_OURS.match(p.as_posix()))


def is_text_of_ours(path):
    return (ROOT / path).is_file() and not (ROOT / path).is_symlink()


ENTRIES = project_files()
FILES = [p for p in ENTRIES if is_text_of_ours(p)]
C_FILES = [p for p in FILES if p.suffix in (".c", ".h")]
TEXT = {p: (ROOT / p).read_text() for p in C_FILES}


def includes(path):
    for match in INCLUDE.finditer(TEXT[path]):
        line = TEXT[path].count("\n", 0, match.start()) + 1
        yield line, match[1], match[2]


def report(findings):
    assert not findings, "\n" + "\n".join(findings)


def test_there_are_sources():
    assert len(C_FILES) > 20


def test_a_module_includes_only_what_its_layer_may():
    findings = []
    for path in C_FILES:
        folder = path.parts[0]
        if folder not in LAYERS and folder not in TESTS:
            findings.append(f"{path}: no layer is known for the folder {folder}; add it to LAYERS")
            continue
        for line, _, name in includes(path):
            if name is None:
                continue
            other = name.split("/")[0]
            if not (ROOT / name).is_file() and name not in GENERATED_HEADERS:
                findings.append(f'{path}:{line}: "{name}" is not a path from the root of the project')
            elif folder not in TESTS and other != folder and other not in LAYERS[folder]:
                findings.append(f'{path}:{line}: {folder}/ must not include "{name}"')
    report(findings)


def test_third_party_headers_stay_behind_their_fences():
    findings = []
    for path in C_FILES:
        for line, name, _ in includes(path):
            if name is None or SYSTEM_HEADERS.fullmatch(name):
                continue
            homes = [home for header, home in FENCES.items() if re.fullmatch(header, name)]
            if not homes:
                findings.append(f"{path}:{line}: <{name}> has no fence; add it to FENCES")
            elif path.parts[0] not in TESTS and not any(re.fullmatch(home, path.as_posix()) for home in homes):
                findings.append(f"{path}:{line}: <{name}> is only for {' '.join(homes)}")
    report(findings)


def test_no_source_file_is_too_long():
    findings = []
    for path in FILES:
        if path.suffix in (".c", ".h", ".py", ".sh", ".cmake") or path.parts[0] == "scripts":
            lines = len((ROOT / path).read_text().splitlines())
            if lines > MAX_FILE_LINES:
                findings.append(f"{path}: {lines} lines, more than {MAX_FILE_LINES}")
    report(findings)


def test_no_function_is_too_long():
    findings = []
    for path in C_FILES:
        if path.parts[0] in TESTS:  # their tables of cases may be long
            continue
        start = None
        for number, line in enumerate(TEXT[path].splitlines(), 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start - 1 > MAX_FUNCTION_LINES:
                    findings.append(f"{path}:{start}: a function of {number - start - 1} lines, more than "
                                    f"{MAX_FUNCTION_LINES}")
                start = None
    report(findings)


def licence_line_is_there(path):
    try:
        lines = (ROOT / path).read_text().splitlines() or [""]
    except UnicodeDecodeError:
        return True
    if path.suffix in (".c", ".h"):
        return lines[0] == "/* SPDX-License-Identifier: Apache-2.0 */"
    if path.suffix in (".py", ".sh", ".cmake", ".ini") or path.name == "CMakeLists.txt" or lines[0].startswith("#!"):
        return "# SPDX-License-Identifier: Apache-2.0" in lines[:2]
    return True


def test_every_source_file_begins_with_the_licence():
    report([f"{path}: the SPDX line of Apache-2.0 is not its first line" for path in FILES
            if not licence_line_is_there(path)])


def test_no_link_leads_out_of_the_tree():
    links = [p for p in ENTRIES if (ROOT / p).is_symlink()]
    report([f"{path}: a link to {os.readlink(ROOT / path)}" for path in links
            if os.path.isabs(os.readlink(ROOT / path)) or ROOT not in (ROOT / path).resolve().parents])


def test_nothing_is_left_for_later():
    marker = re.compile(r"\b(TODO|FIXME|XXX|not implemented)\b")
    findings = []
    for path in FILES:
        if path.suffix in (".c", ".h", ".py", ".sh", ".cmake", ".md", ".1", ".8") and path.name != "test_lint.py":
            for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
                if marker.search(line):
                    findings.append(f"{path}:{number}: {line.strip()}")
    report(findings)


def test_clang_format_has_nothing_to_change():
    program = shutil.which("clang-format-14")
    assert program, "clang-format-14 is missing; install the Debian package of that name"
    result = subprocess.run([program, "--dry-run", "-Werror", "--ferror-limit=1", *map(str, C_FILES)],
                            cwd=ROOT, capture_output=True, text=True)
    badly = sorted({line.split(":")[0] for line in result.stderr.splitlines() if "error:" in line})
    report([f"{path}: not as clang-format-14 lays it out; run scripts/format" for path in badly])
    assert result.returncode == 0, result.stderr


def test_every_header_compiles_alone(tmp_path):
    version = (ROOT / "cmake/version.h.in").read_text()
    (tmp_path / "base").mkdir()
    (tmp_path / "base/version.h").write_text(re.sub(r"@\w+@", "1", version))
    flags = subprocess.run(["pkg-config", "--cflags", "fuse3", "jansson"], check=True, capture_output=True,
                           text=True).stdout.split()

    def compile_alone(path):
        # Through a file that includes it twice: so the include guard is checked as well.
        source = f'#include "{path}"\n#include "{path}"\n'
        result = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Wall", "-Wextra",
                                 "-Werror", "-Wno-unused-parameter", "-fsyntax-only", f"-I{ROOT}", f"-I{tmp_path}", *flags,
                                 "-x", "c", "-"], input=source, capture_output=True, text=True)
        return f"{path}: does not compile alone:\n{result.stderr}" if result.returncode else None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = [p for p in C_FILES if p.suffix == ".h"]
        report([finding for finding in pool.map(compile_alone, headers) if finding])


def test_the_broken_variants_apply():
    """Whoever changes what tests/explore/variants/*.patch break has to break it anew."""
    findings = []
    for patch in sorted((ROOT / "tests/explore/variants").glob("*.patch")):
        result = subprocess.run(["patch", "--dry-run", "--silent", "--force", "--strip=1", "--directory", str(ROOT), "--input", str(patch)],
                                capture_output=True, text=True)
        if result.returncode:
            findings.append(f"{patch.relative_to(ROOT)}: does not apply any more:\n{result.stdout}{result.stderr}")
    report(findings)


def test_every_fuzz_target_has_seeds_and_words():
    fuzz = ROOT / "tests/fuzz"
    targets = sorted(p.stem for p in fuzz.glob("fuzz_*.c"))
    assert targets
    report([f"tests/fuzz/{place} is missing" for target in targets for place in (f"corpus/{target}", f"dict/{target}.dict")
            if not (fuzz / place).exists()])
