# What the scripts share. Sourced, not run.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.tools
export PIP_DISABLE_PIP_VERSION_CHECK=1 SAM_CLI_TELEMETRY=0
# The client believes no file that others may write.
umask g-w,o-w
# What listens on this machine is asked for through no proxy.
NO_PROXY=${NO_PROXY:-${no_proxy:-}}
[[ $NO_PROXY == 127.0.0.1,localhost,.localhost* ]] || NO_PROXY=127.0.0.1,localhost,.localhost${NO_PROXY:+,$NO_PROXY}
export NO_PROXY no_proxy=$NO_PROXY
# The AWS CLI, boto3 and SAM know the second name alone.
[[ -z ${AWS_REGION:-} ]] || export AWS_DEFAULT_REGION=$AWS_REGION

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# A step of a script, with the time since its start.
started=$SECONDS
say() {
  printf '\n[%3ds] %s\n' $((SECONDS - started)) "$*"
}

need_openssh() {
  command -v ssh-agent ssh-add ssh-keygen >/dev/null || die "OpenSSH's client is missing (Debian: apt install openssh-client)"
}

need_openssl() {
  command -v openssl >/dev/null || die "OpenSSL's command is missing (Debian: apt install openssl)"
}

need_rust() {
  command -v cargo >/dev/null || die "Rust is missing: install it from https://rustup.rs"
  command -v cc >/dev/null || die "a C compiler is missing (Debian: apt install gcc libc6-dev)"
}

# Makes the tools of local/requirements/NAME.txt, each file in a virtual environment of its own, and puts them on PATH.
use() {
  local name file dir wanted
  for name in "$@"; do
    file=$root/local/requirements/$name.txt dir=$tools/$name
    # A virtual environment works where it was made: not in a checkout that was moved.
    wanted="# $dir"$'\n'$(<"$file")
    if [[ ! -e $dir/installed.txt || $(<"$dir/installed.txt") != "$wanted" ]]; then
      python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        die "Python 3.10 or later with its venv module is missing (Debian: apt install python3-venv)"
      printf 'installing %s into %s\n' "$name" "${dir#"$root"/}"
      rm -rf "$dir"
      python3 -m venv "$dir"
      "$dir/bin/pip" install --quiet --requirement "$file" || die "pip could not install ${file#"$root"/}"
      printf '%s\n' "$wanted" >"$dir/installed.txt"
    fi
    PATH=$dir/bin:$PATH
  done
  export PATH
}

# Binaries for this machine, quick to build: one invocation of cargo for all, so that every function shares its
# dependencies, and the same settings as `sam build` uses below, so that it finds them built.
use_fast_build() {
  need_rust
  CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
  export CARGO_BUILD_TARGET CARGO_LAMBDA_COMPILER=cargo SAM_BUILD_MODE=debug
  unset CARGO_TARGET_DIR
  # shellcheck disable=SC2034 # of those who source this
  bin=$root/target/$CARGO_BUILD_TARGET/debug
}

# The client: COUNTERSIGN_BIN, or this repository's, built where it must be; in an image, where there is no repository, the one
# on PATH.
use_countersign() {
  countersign=${COUNTERSIGN_BIN:-}
  if [[ -z $countersign && ! -e $root/Cargo.toml ]]; then
    countersign=$(command -v countersign) || die "there is no countersign on PATH: COUNTERSIGN_BIN names one"
  elif [[ -z $countersign ]]; then
    use_fast_build
    (cd "$root" && cargo build --quiet --package countersign --bin countersign --locked)
    countersign=$bin/countersign
  fi
}

# A step-ca on PATH: the one that is there; else one of tests/step-ca, built once, of Debian's packages.
use_step_ca() {
  local source=$root/tests/step-ca/main.go dir=$tools/step-ca
  command -v step-ca >/dev/null && return
  if ! cmp -s "$source" "$dir/built.go"; then
    build_step_ca "$source" "$dir"
  fi
  export PATH=$dir:$PATH
}

# Builds a step-ca into a folder, of Debian's packages: those that are installed, or else of such as are fetched with apt and
# unpacked in the folder. That changes nothing of the system and needs no root.
build_step_ca() {
  local source=$1 dir=$2 packages=$2/packages library=golang-github-smallstep-certificates-dev
  local go=/usr/lib/go gopath=/usr/share/gocode
  printf 'building step-ca in %s\n' "${dir#"$root"/}"
  rm -rf "$dir"
  mkdir -p "$dir"
  if [[ ! -x $go/bin/go || ! -d $gopath/src/github.com/smallstep/certificates ]]; then
    if ! command -v apt-get >/dev/null || ! fetch_go_packages "$packages" golang-go "$library"; then
      die "step-ca is missing: install it (https://smallstep.com/docs/step-ca), or what it is built of (Debian: apt install golang-go $library)"
    fi
    go=$packages$go gopath=$packages$gopath
  fi
  env -u GOFLAGS -u GOOS -u GOARCH GOROOT="$(realpath "$go")" GOPATH="$gopath" GOCACHE="$dir/cache" GO111MODULE=off \
    CGO_ENABLED=0 "$go/bin/go" build -o "$dir/step-ca" "$source" || die "step-ca could not be built of Debian's packages"
  rm -rf "$packages" "$dir/cache"
  cp "$source" "$dir/built.go"
}

# Unpacks Debian's packages of these names, and all of Go that they need, into a folder. apt is told that nothing is installed,
# and keeps its own files there too. usage: fetch_go_packages FOLDER NAME...
fetch_go_packages() {
  local dir=$1 state=$1/apt names package apt
  shift
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/packages"
  : >"$state/status"
  apt=(apt-get -qq -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache"
    -o Debug::NoLocking=true -o "APT::Sandbox::User=$(id -un)")
  "${apt[@]}" update || return
  names=$("${apt[@]}" --simulate --no-install-recommends install "$@" | sed -n 's/^Inst \(golang-[^ ]*\) .*/\1/p') || return
  # shellcheck disable=SC2086 # names, one word each
  (cd "$state/packages" && "${apt[@]}" download $names) || return
  for package in "$state/packages"/*.deb; do
    dpkg -x "$package" "$dir" || return
  done
}

# Starts a local AWS for the calling script alone, on a free port unless COUNTERSIGN_LOCAL_PORT names one, and takes its
# environment. What is deployed there is the script's to say: nothing of it comes from the caller's environment.
start_local_aws() {
  local environment chosen
  unset AUDIENCE BROKER_URL V1_GROUP NPM_PACKAGES NPM_REGISTRY SECRET_PATTERN ROLE_ALIASES ASSUMABLE_ROLES CLIENT_GROUPS \
    KEY_BITS ROTATION_SCHEDULE \
    ACCEPT_SECONDS TOKEN_SECONDS MAX_TOKEN_SECONDS NONCE_RATE AUTHORIZER_CACHE_SECONDS AUDIT_DAYS LOG_DAYS LOG_LEVEL \
    DEVICE_CERTIFICATE_DAYS DELETE_CERTIFICATES DELETE_POLICIES IOT_CAS PRIVATE_CAS PRIVATE_CA_ARNS PRIVATE_CA_ROLES \
    CA_KEYS_KMS_KEY ENROLL_RATE CODES_PER_DAY SMS_SENDER_ID MAIL_SENDER WEBHOOK_URL \
    THROTTLE_RATE THROTTLE_BURST EXCHANGE_CONCURRENCY ARCHITECTURE \
    COUNTERSIGN_GROUP COUNTERSIGN_FROM COUNTERSIGN_MATERIAL COUNTERSIGN_URL COUNTERSIGN_TIMEOUT COUNTERSIGN_KEY \
    COUNTERSIGN_STACK COUNTERSIGN_CONFIG COUNTERSIGN_TOML COUNTERSIGN_ENV COUNTERSIGN_FILES COUNTERSIGN_STDIN \
    COUNTERSIGN_ON_CHANGE COUNTERSIGN_INTERVAL COUNTERSIGN_LISTEN COUNTERSIGN_INHERIT COUNTERSIGN_LOG
  chosen=${COUNTERSIGN_LOCAL_PORT:-$(free_port)}
  environment=$("$root/local/start" "$chosen")
  port=$chosen
  eval "$environment"
  export STACK_NAME=countersign LOCAL_ENDPOINT_URL=$AWS_ENDPOINT_URL
}

# Stops what start_local_aws started, if it did.
stop_local_aws() {
  [[ -z ${port:-} ]] || "$root/local/stop" "$port"
}

# A port that nothing listens on.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Puts files into a folder of the broker's bucket, after the program of this name, on PATH or built here, found them valid
# together with those that are there.
# usage: put_files FOLDER SUFFIX PROGRAM FILE...
put_files() {
  local folder=$1 suffix=$2 program=$3 names=() file check bucket together status=0
  shift 3
  for file in "$@"; do
    [[ $file == *"$suffix" ]] || die "not a $suffix file, which the broker would pass over: $file"
    names+=("$(basename "$file")")
  done
  [[ -z $(printf '%s\n' "${names[@]}" | sort | uniq -d) ]] || die "two files have one name"
  use client
  STACK_NAME=${STACK_NAME:-countersign}
  if ! check=$(command -v "$program"); then
    use_fast_build
    cargo build --quiet --manifest-path "$root/Cargo.toml" --workspace --bin "$program"
    check=$bin/$program
  fi
  bucket=$(output BucketName)
  together=$(mktemp -d)
  aws s3 cp --only-show-errors --recursive --exclude "*" --include "*$suffix" "s3://$bucket/$folder/" "$together"
  cp -- "$@" "$together"
  (cd "$together" && "$check" ./*"$suffix") || status=$?
  rm -rf "$together"
  ((status == 0)) || return "$status"
  for file in "$@"; do
    aws s3 cp --only-show-errors "$file" "s3://$bucket/$folder/$(basename "$file")"
    echo "put $folder/$(basename "$file")"
  done
}

# The group to do something for: CLIENT_GROUP, or the deployed stack's first.
client_group() {
  local groups
  groups=$(parameter Groups)
  echo "${CLIENT_GROUP:-${groups%%,*}}"
}

# The value of a parameter of the deployed stack.
parameter() {
  aws cloudformation describe-stacks --stack-name "$STACK_NAME" --output text \
    --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue" || die "stack $STACK_NAME cannot be read"
}

# The value of an output of the deployed stack.
output() {
  aws cloudformation describe-stacks --stack-name "$STACK_NAME" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue" || die "stack $STACK_NAME cannot be read"
}
