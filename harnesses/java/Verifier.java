import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * An example: checks the shape of a document, its chain, its signature and most of the policy, with
 * the classes of the JDK alone. It accepts many documents that a verifier must reject, so do not
 * use it in production.
 */
final class Verifier {
    private static final byte[] ES384 = HexFormat.of().parseHex("a1013822"); // {1: -35}

    private Verifier() {}

    @SuppressWarnings("serial")
    private static final class Rejected extends Exception {
        final String code;

        Rejected(String code, String message) {
            super(message);
            this.code = code;
        }
    }

    /** Verifies one document; {@code time} is null for the document's own time. */
    static Harness.Answer verify(
            byte[] document, String root, Instant time, Harness.Policy policy) {
        if (!policy.kind.equals("enclave")) {
            return Harness.Answer.unsupported("nitrotpm");
        }
        if (policy.maxAgeMs != null) {
            return Harness.Answer.unsupported("max-age");
        }
        if (policy.clockSkewMs != 0) {
            return Harness.Answer.unsupported("clock-skew");
        }
        try {
            Message message = parse(document);
            long at = time == null ? message.timestamp() : time.toEpochMilli();
            checkSignature(message, verifyChain(message, root, new Date(at)));
            checkPolicy(message, policy);
        } catch (Rejected error) {
            return Harness.Answer.reject(error.code, error.getMessage());
        }
        return Harness.Answer.accept();
    }

    private static void require(boolean condition, String code, String message) throws Rejected {
        if (!condition) {
            throw new Rejected(code, message);
        }
    }

    private record Message(byte[] header, byte[] payload, byte[] signature, Map<?, ?> fields) {
        long timestamp() {
            return (Long) fields.get("timestamp");
        }

        /** The certificates from the root to the signing certificate. */
        List<byte[]> path() {
            List<byte[]> path = new ArrayList<>();
            ((List<?>) fields.get("cabundle")).forEach(one -> path.add((byte[]) one));
            path.add((byte[]) fields.get("certificate"));
            return path;
        }

        String hex(Object value) {
            return value instanceof byte[] bytes ? HexFormat.of().formatHex(bytes) : null;
        }

        String pcr(int index) {
            return hex(((Map<?, ?>) fields.get("pcrs")).get((long) index));
        }

        boolean matches(Map<Integer, String> allowed) {
            return allowed.entrySet().stream()
                    .allMatch(one -> one.getValue().equals(pcr(one.getKey())));
        }
    }

    private static Message parse(byte[] document) throws Rejected {
        boolean tagged = document.length > 0 && document[0] == (byte) 0xd2; // tag 18 is optional
        int start = tagged ? 1 : 0;
        Object outer = Cbor.decode(Arrays.copyOfRange(document, start, document.length));
        boolean shaped =
                outer instanceof List<?> parts
                        && parts.size() == 4
                        && parts.get(0) instanceof byte[] header
                        && Arrays.equals(header, ES384)
                        && parts.get(1) instanceof Map<?, ?> unprotected
                        && unprotected.isEmpty()
                        && parts.get(2) instanceof byte[]
                        && parts.get(3) instanceof byte[] signature
                        && signature.length == 96;
        require(shaped, "cose", "not a COSE_Sign1 message of ES384");
        List<?> parts = (List<?>) outer;
        byte[] payload = (byte[]) parts.get(2);
        boolean complete =
                Cbor.decode(payload) instanceof Map<?, ?> fields
                        && "SHA384".equals(fields.get("digest"))
                        && fields.get("timestamp") instanceof Long
                        && fields.get("pcrs") instanceof Map
                        && fields.get("certificate") instanceof byte[]
                        && fields.get("cabundle") instanceof List<?> bundle
                        && bundle.stream().allMatch(one -> one instanceof byte[]);
        require(complete, "payload", "a field is missing or has another type");
        Map<?, ?> fields = (Map<?, ?>) Cbor.decode(payload);
        return new Message((byte[]) parts.get(0), payload, (byte[]) parts.get(3), fields);
    }

    /** Returns the key of the signing certificate. */
    private static PublicKey verifyChain(Message message, String root, Date at) throws Rejected {
        try {
            X509Certificate trusted = certificate(root.getBytes(StandardCharsets.US_ASCII));
            X509Certificate issuer = trusted;
            List<byte[]> path = message.path();
            require(
                    Arrays.equals(path.get(0), trusted.getEncoded()),
                    "chain",
                    "the first certificate is not the trusted root");
            for (int index = 0; index < path.size(); index++) {
                X509Certificate certificate = certificate(path.get(index));
                boolean isLeaf = index == path.size() - 1;
                boolean isCa = certificate.getBasicConstraints() >= 0;
                require(isCa != isLeaf, "chain", index + " is no CA, or signs as one");
                boolean named =
                        certificate.getIssuerX500Principal().equals(issuer.getSubjectX500Principal());
                require(named, "chain", index + " has another issuer");
                certificate.verify(issuer.getPublicKey());
                certificate.checkValidity(at);
                issuer = certificate;
            }
            boolean isP384 =
                    issuer.getPublicKey() instanceof ECPublicKey key
                            && key.getParams().toString().startsWith("secp384r1");
            require(isP384, "chain", "the signing key is not P-384");
            return issuer.getPublicKey();
        } catch (GeneralSecurityException error) {
            throw new Rejected("chain", error.getMessage());
        }
    }

    private static X509Certificate certificate(byte[] encoded) throws GeneralSecurityException {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        return (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(encoded));
    }

    /** Verifies the signature of a COSE_Sign1 message (RFC 9052, section 4.4). */
    private static void checkSignature(Message message, PublicKey key) throws Rejected {
        ByteArrayOutputStream signed = new ByteArrayOutputStream();
        signed.writeBytes("\u0084jSignature1".getBytes(StandardCharsets.ISO_8859_1));
        for (byte[] part : new byte[][] {message.header, {}, message.payload}) {
            signed.writeBytes(head(part.length));
            signed.writeBytes(part);
        }
        boolean valid;
        try {
            Signature verifier = Signature.getInstance("SHA384withECDSAinP1363Format");
            verifier.initVerify(key);
            verifier.update(signed.toByteArray());
            valid = verifier.verify(message.signature);
        } catch (GeneralSecurityException error) {
            throw new Rejected("signature", error.getMessage());
        }
        require(valid, "signature", "the signature is not by the key of the certificate");
    }

    /** The head of a CBOR byte string, in its shortest form up to 65535 bytes. */
    private static byte[] head(int size) {
        if (size < 24) {
            return new byte[] {(byte) (0x40 | size)};
        }
        if (size < 256) {
            return new byte[] {0x58, (byte) size};
        }
        return new byte[] {0x59, (byte) (size >> 8), (byte) size};
    }

    private static void checkPolicy(Message message, Harness.Policy policy) throws Rejected {
        Map<String, String> expected = new HashMap<>();
        expected.put("nonce", policy.nonce);
        expected.put("user_data", policy.userData);
        expected.put("public_key", policy.publicKey);
        for (Map.Entry<String, String> one : expected.entrySet()) {
            String found = message.hex(message.fields.get(one.getKey()));
            boolean matches = one.getValue() == null || one.getValue().equals(found);
            require(matches, "policy", one.getKey() + " mismatch");
        }
        for (int index = 0; index < 3 && !policy.allowDebug; index++) {
            String pcr = message.pcr(index);
            require(pcr != null && !pcr.matches("0*"), "policy", "debug mode");
        }
        boolean matches = policy.pcrs.stream().anyMatch(message::matches);
        require(policy.pcrs.isEmpty() || matches, "policy", "PCR mismatch");
    }

    /** Reads CBOR as far as documents use it: Long, byte[], String, List, Map or null. */
    private static final class Cbor {
        private static final int NO_COUNT = -1;

        private final ByteBuffer data;

        private Cbor(byte[] data) {
            this.data = ByteBuffer.wrap(data);
        }

        static Object decode(byte[] data) throws Rejected {
            Cbor reader = new Cbor(data);
            Object item = reader.next(0);
            require(!reader.data.hasRemaining(), "cbor", "bytes after the end");
            return item;
        }

        private Object next(int depth) throws Rejected {
            require(depth <= 4, "cbor", "too deep");
            int first = take(1)[0] & 0xff;
            if (first == 0xf6) {
                return null;
            }
            int type = first >> 5;
            long argument = argument(first & 31);
            require(type < 6 && type != 1, "cbor", "unexpected type");
            require(type > 3 || argument != NO_COUNT, "cbor", "a value without a length");
            return switch (type) {
                case 0 -> argument;
                case 2 -> take(argument);
                case 3 -> new String(take(argument), StandardCharsets.UTF_8);
                case 4 -> items(argument, depth);
                default -> entries(items(argument == NO_COUNT ? NO_COUNT : 2 * argument, depth));
            };
        }

        private byte[] take(long size) throws Rejected {
            require(size <= data.remaining(), "cbor", "the bytes end early");
            byte[] taken = new byte[(int) size];
            data.get(taken);
            return taken;
        }

        private long argument(int info) throws Rejected {
            if (info < 24 || info == 31) {
                return info == 31 ? NO_COUNT : info;
            }
            require(info < 28, "cbor", "reserved head");
            BigInteger value = new BigInteger(1, take(1 << (info - 24)));
            require(value.bitLength() < 62, "cbor", "too large");
            return value.longValue();
        }

        private List<Object> items(long count, int depth) throws Rejected {
            List<Object> items = new ArrayList<>();
            while (count == NO_COUNT ? !isStop() : items.size() < count) {
                items.add(next(depth + 1));
            }
            if (count == NO_COUNT) {
                take(1);
            }
            return items;
        }

        private boolean isStop() {
            return data.hasRemaining() && data.get(data.position()) == (byte) 0xff;
        }

        private static Map<Object, Object> entries(List<Object> items) throws Rejected {
            Map<Object, Object> result = new HashMap<>();
            require(items.size() % 2 == 0, "cbor", "a key without a value");
            for (int index = 0; index < items.size(); index += 2) {
                boolean twice = result.containsKey(items.get(index));
                require(!twice, "cbor", "a key appears twice");
                result.put(items.get(index), items.get(index + 1));
            }
            return result;
        }
    }
}
