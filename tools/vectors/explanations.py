"""The reason for each rule: a case carries it for the authors of verifiers that fail it."""

from __future__ import annotations

from typing import Final

WHY_REFUSED: Final = {
    "C-1": "An empty answer must not be taken for a document without faults.",
    "C-2": "The sender chooses the size: without a limit, every later step pays for it.",
    "C-3": "Guessing text encodings gives one attestation many spellings.",
    "C-4": "The tag is not signed: every further spelling is one more document for the same"
    " signature, and another tag means another kind of message.",
    "C-5": "The outer array is not signed: laxity leaves room for other bytes.",
    "C-6": "A verifier that lets the message choose its algorithm can be talked into a weaker one.",
    "C-7": "Headers that one reader obeys and another ignores make two meanings of one message.",
    "C-8": "The unprotected header is not signed: whatever is read from it is the sender's word.",
    "C-9": "There must be exactly one payload, and the signature must be over it.",
    "C-10": "A signature of another length is not ES384; cutting or padding it hides that.",
    "C-11": "The outer lengths are not signed: several spellings of one length make several"
    " documents of one signature.",
    "C-12": "Nothing signs what follows, so it must not be there to be read.",
    "C-13": "A reader that goes on behind the end reads memory that is not the document.",
    "C-14": "Zero and values from n on are no ECDSA signature; r = s = 0 has fooled verifiers that"
    " did not look.",
    "C-16": "The signature is what makes the document evidence.",
    "C-17": "An emulator's documents are signed by nobody and say whatever its user wants.",
    "P-1": "What is not a map has no fields; hostile nesting must not exhaust the reader.",
    "P-2": "A count and a break are two ways to end the same map or array; a break anywhere else"
    " makes readers disagree.",
    "P-3": "One content has one encoding; parsers that read the others disagree with those that"
    " do not.",
    "P-4": "Two readers that end the map at different places read different fields.",
    "P-5": "Keys of another type, or text that is not UTF-8, are read differently by different"
    " parsers.",
    "P-6": "Of two equal keys one parser keeps the first and another the last.",
    "P-7": "A field that the verifier does not know may change what the others mean.",
    "P-9": "A field that is not there must not be judged as if it said something harmless.",
    "P-10": "Null in a mandatory field is an answer that nobody defined.",
    "P-12": "The module's name is shown to people and compared with certificates.",
    "P-13": "The digest names the algorithm of the PCRs; with another, their values mean nothing.",
    "P-14": "Time decides freshness: zero, negative and overflowing values upset the comparison.",
    "P-15": "An empty PCR map must not count as one in which nothing differs.",
    "P-16": "An index out of range may alias another register or overrun a table.",
    "P-17": "A shorter value may compare equal in a careless comparison; all PCRs are SHA-384.",
    "P-18": "Without PCR0, PCR1 and PCR2 debug mode cannot be told from production.",
    "P-19": "The signing certificate is foreign bytes: its size is bounded before it is parsed.",
    "P-20": "No chain means no trust; a long one costs a signature check for each certificate.",
    "P-21": "Each certificate is foreign bytes: its size is bounded before it is parsed.",
    "P-22": "What the enclave may attach is bounded, so that no document is larger than its limit.",
    "P-23": "What the enclave may attach is bounded, so that no document is larger than its limit.",
    "P-24": "What the enclave may attach is bounded, so that no document is larger than its limit.",
    "P-25": "A value of another type is converted by some readers and not by others.",
    "X-1": "A certificate that two libraries read differently is two certificates.",
    "X-2": "Serial numbers that are not positive or too long are outside of RFC 5280, and parsers"
    " disagree about them.",
    "X-3": "The order is fixed: a verifier that searches for a path lets the sender choose it, and"
    " the time that it takes.",
    "X-4": "Trust begins at a certificate that the verifier holds, not at one that came along.",
    "X-5": "Without the root in its place, the verifier guesses what the chain hangs from.",
    "X-6": "Repeated certificates make a searching verifier walk in circles.",
    "X-7": "A chain is names and keys: a CA of another name did not issue this certificate.",
    "X-8": "Without this signature anybody could have written the certificate.",
    "X-9": "The chain is as strong as its weakest algorithm, and other key forms let an attacker"
    " choose the curve.",
    "X-10": "Outside of its validity a certificate says nothing; the signing key lives three hours"
    " because enclaves are not revoked.",
    "X-11": "Both forms of time mean what they say, from the first instant to the last.",
    "X-12": "Critical means: who does not understand this must refuse.",
    "X-13": "Of two equal extensions, one reader obeys the first and another the last.",
    "X-14": "Who is not a CA must not make certificates: otherwise every enclave could make"
    " further ones.",
    "X-15": "A key that may not sign certificates did.",
    "X-16": "The limit keeps a host from making itself an authority for other hosts.",
    "X-17": "A CA's key is kept and used otherwise than an enclave's; the two must not stand in for"
    " each other.",
    "X-18": "Only the last certificate's key may sign a document.",
    "X-19": "The certificate says that another key issued it.",
    "X-20": "At the document's own time all of its certificates must have been valid: otherwise an"
    " old key can make documents for ever.",
    "X-21": "A timestamp outside of the signing certificate's life is back-dated or post-dated.",
    "X-22": "A document from the future stays fresh for longer than it should.",
    "X-23": "Without a limit to its age an old document is replayed for as long as its certificate"
    " lives.",
    "X-24": "The certificates say who signed: a document that names another enclave is a forgery by"
    " a neighbour.",
    "M-2": "In debug mode the parent instance reads the enclave's console and memory.",
    "R-1": "What is not a list must not count as one without entries.",
    "R-2": "Who can write a list, or empty one, can make every revocation disappear.",
    "R-3": "An old list does not know what was revoked since.",
    "R-4": "Without a number, an old list cannot be told from a new one.",
    "R-5": "A list that speaks for some certificates or reasons, or of changes alone, is silent"
    " about the others.",
    "R-6": "A check that passes when a list is missing is switched off by whoever withholds it.",
    "R-7": "The issuer says that this certificate must not be believed any more.",
    "R-8": "A key that was stolen may have been used before anybody noticed.",
    "T-1": "An instance's owner sets PCR8 to PCR15 at will: taken for an enclave's, they are any"
    " measurement the verifier wants to see.",
    "T-2": "The name of the PCR map is all that tells the kinds apart, so it must be signed.",
    "T-3": "The kind of the document and the kind of its signer must be the same.",
    "T-6": "The registers of an instance and of an enclave have the same names and other meanings.",
    "M-3": "Zeros are what debug mode attests to: such an expectation is met by every enclave whose"
    " memory lies open.",
    "M-9": "A value that is repaired is another value.",
    "L-1": "A misspelt name that is passed over leaves a policy that demands less than it says.",
    "L-2": "What would not count must not stand there: its author believes that it does.",
    "L-3": "Of two equal keys one reader keeps the first and another the last.",
    "L-4": "The file demands the signature's register, and another value is in it.",
    "L-6": "A value without its register can be compared with the wrong one.",
    "L-7": "A policy that demands nothing is met by everything.",
    "L-8": "Sets are alternatives; the PCRs of a set are not.",
    "F-1": "What is not an image of a known version must not be measured as if it were.",
    "F-2": "Loaders that end at different places measure different images.",
    "F-3": "One loader follows the table and another the sections: where these disagree, one file"
    " is two images.",
    "F-4": "A section that one loader takes and another passes over makes two images of one file.",
    "F-5": "The file is not what its builder wrote.",
    "F-6": "The signature is foreign bytes: its size is bounded before it is read.",
    "S-1": "A signature of another image says nothing about this one.",
    "S-2": "A signature that does not hold is nobody's.",
    "policy": "The document is authentic, but it is not the one that was asked for.",
}

WHY_ACCEPTED: Final = {
    "C-1": "This is what the NSM writes today: who refuses it refuses every enclave.",
    "C-2": "Everything in it is within its own limit.",
    "C-4": "The process documentation of AWS allows the tag.",
    "C-15": "Half of all genuine signatures have s above n / 2: low-s must not be demanded, nor"
    " high-s.",
    "C-16": "r and s are 48 bytes each: a number that begins with a zero byte keeps it, and one"
    " signature in 128 has such a number.",
    "P-1": "Genuine documents have both forms: counted until June 2025, without a count since.",
    "P-2": "AWS made the outer map indefinite in June 2025 without notice; the same change one"
    " level down must not be an outage.",
    "P-4": "A string ends where its length says: a reader that looks for a byte FF ends the map too"
    " early.",
    "P-8": "No source promises an order of the fields.",
    "P-9": "The optional fields are optional.",
    "P-10": "The NSM writes null for every optional field that was not asked for.",
    "P-11": "An enclave may attach zero bytes; that is not the same as attaching nothing.",
    "P-12": "The form of the name is observed, not promised.",
    "P-15": "Enclaves lock further PCRs, and the document then holds them.",
    "P-16": "All 32 PCRs exist.",
    "P-18": "Genuine documents have gaps, and no order of PCRs is promised.",
    "P-19": "AWS may let certificates grow to what its own documentation allows.",
    "P-20": "AWS may lengthen the chain to what the format allows.",
    "P-21": "AWS may let certificates grow to what its own documentation allows.",
    "P-22": "Genuine documents fill this field to its 1024 bytes.",
    "P-23": "Genuine documents fill this field to its 1024 bytes, although one table of AWS says"
    " 512.",
    "P-24": "Genuine documents fill this field to its 1024 bytes, although one table of AWS says"
    " 512.",
    "X-1": "The form of a certificate is its issuer's choice, and signed: nothing needs it stricter"
    " than libraries read it.",
    "X-2": "Genuine instance certificates have serial numbers of 20 octets and a sign octet.",
    "X-4": "The chain begins at exactly the root that the verifier holds.",
    "X-8": "ECDSA has no preferred form: the integers of a signature are as short as their values,"
    " and both s and n - s verify.",
    "X-9": "A coordinate has 48 bytes, whatever its value: one key in 128 has one that begins with"
    " a zero byte.",
    "X-10": "Both ends of the validity are inclusive (RFC 5280 section 4.1.2.5).",
    "X-11": "RFC 5280 wants GeneralizedTime from 2050 on; the GovCloud root has it.",
    "X-12": "What is not critical may be ignored.",
    "X-16": "A pathLen that is absent or larger than needed limits nothing here.",
    "X-17": "Genuine signing certificates have an uncritical keyUsage; critical is as good.",
    "X-19": "Genuine chains lack key identifiers in places: the comparison is for where both are.",
    "X-20": "Archives are judged at the time of the document.",
    "X-21": "Clocks differ; the caller says by how much.",
    "X-22": "Clocks differ; the caller says by how much.",
    "X-23": "The limit itself is still within it.",
    "R-1": "Lists are published in both forms, and one given twice says the same.",
    "R-2": "The issuers that are named say that nothing is revoked.",
    "R-3": "Both ends of a list's time are inclusive.",
    "R-4": "Any number that RFC 5280 allows.",
    "R-5": "What is not critical, or says the same as the certificate, restricts nothing.",
    "R-6": "Every certificate that names a list is covered; further lists do no harm.",
    "R-7": "The revocation of one certificate says nothing about the others.",
    "R-8": "At a past time, a list that was issued later knows more; a reason that is about later"
    " use does not reach back.",
    "M-2": "Debug mode is PCR0, PCR1 or PCR2 of zeros, and nothing else is; who wants it can have"
    " it.",
    "T-1": "Asked for as what it is, the document is good.",
    "T-6": "This is what the tools of AWS print for an instance.",
    "M-3": "A register of zeros is a legitimate demand where it does not mean debug mode.",
    "M-4": "Of an image with one ramdisk, PCR2 is the hash of nothing: it says nothing about it.",
    "M-5": "No length is hashed, so that the ends of sections show in PCR1 and PCR2 at most.",
    "M-6": "Header and metadata are not measured: they may say anything.",
    "M-9": "Tools differ in how they write digits; the value is the same.",
    "L-1": "These are the names that the build tools of AWS write, in any case.",
    "L-2": "Users save what the tools of AWS print, progress and all.",
    "L-3": "Two objects are two sets, which may have equal keys.",
    "L-4": "The output of a build lacks PCR8 where the image is not signed; nothing follows from"
    " that.",
    "L-5": "Of an enclave in debug mode the parent prints the image's measurements: a warning's"
    " worth.",
    "L-6": "The caller says which register the value belongs to.",
    "L-7": "One demand is enough.",
    "L-8": "During a release, two builds run.",
    "F-1": "Versions 2 to 4 and both architectures exist, with 2 to 32 sections.",
    "F-2": "A section may hold nothing.",
    "F-3": "Images in the field have it: a signing tool leaves the old size in the table.",
    "F-4": "The format promises no order but that ramdisks follow the kernel, and demands no more"
    " than kernel and command line.",
    "F-5": "The CRC-32 detects accidents, not attacks; the PCRs do not depend on it.",
    "F-6": "The limit itself is within it.",
    "F-8": "Sections are hashed by their kind in the order of the file: once inside and once with"
    " 48 zero bytes before.",
    "S-2": "Images are signed with keys on P-256, P-384 and P-521.",
    "S-3": "Who starts the enclave looks at the certificate's dates, attestation does not.",
    "S-4": "PCR8 measures the first certificate and nothing else.",
    "S-5": "Builders write arrays of integers; byte strings say the same.",
    "policy": "The document is what was asked for.",
}


def why(rule: str, *, accepted: bool) -> str:
    """Returns the reason why a verifier must reject what breaks a rule, or accept what meets it."""
    return (WHY_ACCEPTED if accepted else WHY_REFUSED)[rule]
