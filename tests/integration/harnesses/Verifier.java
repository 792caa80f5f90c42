import com.google.gson.GsonBuilder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HexFormat;

/** Follows a fixed rule: test_harnesses.py describes it. */
final class Verifier {
    private Verifier() {}

    static Harness.Answer verify(
            byte[] document, String root, Instant time, Harness.Policy policy) {
        System.out.println("noise");
        switch (new String(document, StandardCharsets.ISO_8859_1)) {
            case "accept":
                return Harness.Answer.accept();
            case "unsupported":
                return Harness.Answer.unsupported("this");
            case "crash":
                throw new StackOverflowError("as the test wants it");
            default:
                String hex = HexFormat.of().formatHex(document);
                Object at = time == null ? "document" : time.toEpochMilli();
                String requirements = new GsonBuilder().serializeNulls().create().toJson(policy);
                String message = hex + " " + root.length() + " " + at + " " + requirements;
                return Harness.Answer.reject("probe", message);
        }
    }
}
