import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.annotations.SerializedName;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/**
 * Asks one verifier of AWS Nitro attestation documents about every case of the conformance suite:
 * reads one JSON object per line from standard input and writes one answer per line.
 *
 * <p>This file is complete. Replace {@code Verifier.verify} with a call to the verifier under test.
 */
public final class Harness {
    private static final Gson GSON = new Gson();

    private Harness() {}

    /**
     * The requirements of the caller. Values of PCRs, and the three expected values, are
     * hexadecimal, in lower case; null means: not checked.
     */
    static final class Policy {
        String kind; // "enclave" or "nitrotpm"
        List<Map<Integer, String>> pcrs; // the document matches one of them; empty: any
        String nonce;
        @SerializedName("user_data") String userData;
        @SerializedName("public_key") String publicKey;
        @SerializedName("max_age_ms") Long maxAgeMs;
        @SerializedName("allow_debug") boolean allowDebug;
        @SerializedName("clock_skew_ms") long clockSkewMs; // how far the clock may be behind
    }

    /** The result of one verification. {@code code} and {@code message} are for people. */
    static final class Answer {
        String id;
        final String result;
        final String code;
        final String message;

        private Answer(String result, String code, String message) {
            this.result = result;
            this.code = code;
            this.message = message;
        }

        /** A valid document that meets the policy. */
        static Answer accept() {
            return new Answer("accept", null, null);
        }

        /** Any other document. */
        static Answer reject(String code, String message) {
            return new Answer("reject", code, message);
        }

        /** The verifier lacks a feature that the case needs. */
        static Answer unsupported(String feature) {
            return new Answer("unsupported", null, feature);
        }
    }

    private static final class Request {
        int protocol;
        String id;
        String document;
        String root;
        String time;
        Policy policy;
        JsonElement image;
        @SerializedName("policy_file") JsonElement policyFile;
        JsonElement revocation;
    }

    private static Answer answer(Request asked) {
        if (asked.image != null) {
            return Answer.unsupported("images");
        }
        if (asked.policyFile != null) {
            return Answer.unsupported("policy files");
        }
        if (asked.revocation != null) {
            return Answer.unsupported("revocation lists");
        }
        byte[] document = Base64.getDecoder().decode(asked.document);
        // null: the document's own time
        Instant time = asked.time.equals("document") ? null : Instant.parse(asked.time);
        try {
            return Verifier.verify(document, asked.root, time, asked.policy);
        } catch (Throwable error) {
            // Ends the process, which the suite counts as a crash in this case.
            System.err.println(asked.id + ": the verifier threw");
            error.printStackTrace();
            Runtime.getRuntime().halt(70); // other threads of the verifier may still run
            throw error;
        }
    }

    /** Answers until there are no more requests. */
    public static void main(String[] arguments) throws IOException {
        PrintStream output =
                new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        System.setOut(System.err); // what the verifier prints is not an answer
        BufferedReader input =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            Request asked = GSON.fromJson(line, Request.class);
            if (asked.protocol != 1) {
                throw new IOException("unknown protocol: " + asked.protocol);
            }
            Answer result = answer(asked);
            result.id = asked.id;
            output.print(GSON.toJson(result) + "\n");
            output.flush();
        }
    }
}
