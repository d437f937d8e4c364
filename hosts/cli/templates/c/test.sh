#!/bin/sh
# Calls the guest as a host does, and compares. ./test.sh native:./LIBRARY
guest=$1
failures=0

# test_case NAME REQUEST EXPECTED: EXPECTED is the reply, or part of the error.
test_case() {
    said=$(polyhost call "$guest" greeter.v1.Greeter/SayHello --input "$2" 2>&1)
    case $said in
        *"$3"*) echo "ok: $1" ;;
        *) echo "FAILED: $1: expected $3, got $said"; failures=$((failures + 1)) ;;
    esac
}

test_case 'greets by name' '{"name": "you"}' '{"text":"Hello, you!"}'
test_case 'refuses an empty name' '{}' 'INVALID_ARGUMENT: name is empty'
exit $failures
