#!/bin/bash -eu
# Builds the fuzz targets of the C core into $OUT, each with its seeds, dictionary and options.
#
# OSS-Fuzz runs it in the image of the Dockerfile beside it and sets every variable.

cd "$SRC/nitro-attest"
targets=(fuzz_sign1 fuzz_payload)
includes=(-std=c99 -Icsrc -Itests/c)

# Run here, so without $CFLAGS, which are for the targets.
$CC "${includes[@]}" -o "$WORK/seeds" fuzz/seeds.c csrc/nitro_cose.c
mkdir -p "${targets[@]/#/$WORK/corpus/}"
"$WORK/seeds" "$WORK/corpus" fixtures/real/*.bin

$CC $CFLAGS "${includes[@]}" -c csrc/nitro_cose.c -o "$WORK/nitro_cose.o"
for target in "${targets[@]}"; do
    $CC $CFLAGS "${includes[@]}" -c "fuzz/$target.c" -o "$WORK/$target.o"
    $CXX $CXXFLAGS "$WORK/$target.o" "$WORK/nitro_cose.o" $LIB_FUZZING_ENGINE -o "$OUT/$target"
    zip -jqr "$OUT/${target}_seed_corpus.zip" "$WORK/corpus/$target"
    cp fuzz/cbor.dict "$OUT/$target.dict"
    printf '[libfuzzer]\nmax_len = 20000\n' >"$OUT/$target.options"
done
