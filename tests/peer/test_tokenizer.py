"""Ids by llama.cpp from our GGUF equal those of the Hugging Face tokenizers library on the same tokenizer.json."""
import functools
import json
import random
import shutil
import sys
import unicodedata

import boundaries
import llama
from peer import KJV, QUERN, WORK, convert, fake, run, run_all

try:
    import tokenizers
except ImportError:
    print("SKIP: the tokenizers library is not installed")
    sys.exit(77)

NASTY = [
    "", " ", "\n", "Hello, world!", "don't I'll we've THEY'RE I'M we'D it'ſ", "  two  spaces\tand tab\n\nnewlines \n \n x",
    "\r\nCRLF\r\n\r\n  \r\n end\r", "naïve café — “quotes” 日本語 한국어 العربية עברית हिन्दी ไทย Ελληνικά Русский",
    "ქართული հայերեն አማርኛ မြန်မာ ខ្មែរ ລາວ සිංහල தமிழ் తెలుగు ಕನ್ನಡ മലയാളം བོད་སྐད ᠮᠣᠩᠭᠣᠯ ᏣᎳᎩ ⲕⲏⲙⲉ ⴰⵎⴰⵣⵉⵖ",
    "😀👩‍👩‍👧‍👦🇩🇪 👍🏽 ☃️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ 👨🏾‍🚀", "e\u0301 \u0915\u094d\u0937 a\u0308\u0323 Z\u0351\u036b\u0343A\u0334\u0315", "\x00\x07control\x1b[31m\x7f\x85\x1c\x1f",
    "0 1 12 123 1234 12345678901234567890 3.14 1,000 ½ Ⅷ ٣٤٥ १२३ 𝟘𝟙𝟚 ²³", "1" * 300, " " * 300, " " * 300 + "x", "\t" * 50 + "y",
    "a" * 500, "\n" * 50, "\r\n" * 40, " \n" * 40, "\n " * 40, "!?.,;:()[]{}<>/\\|@#$%^&*-_=+`~\"'" * 3, "!" * 400 + "\n",
    "for (int i = 0; i < n; i++) {\n\treturn x[i];\n}", "ﬁ ½ ① ㎏ ™ \u200b\u200d\ufeff \u00a0\u2003x\u3000y\u2028z\u2029",
    "ЁёЖжѢѣ ǅ ß ſ İı", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𠜎 \ufffd\ufffe\U0010ffff\ue000", "\u202eright to left\u202c \u2066x\u2069",
]


def converted(folder):
    return llama.Model(convert(folder, "F16")), tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


def check(name, ours, theirs, text, special=False):
    a = ours.tokenize(text, parse_special=True, add_special=special)
    b = theirs.encode(text, add_special_tokens=special).ids
    assert a == b, f"{name}: {text[:80]!r}:\n llama.cpp {a[:40]}\n HF        {b[:40]}"


def heldout():
    return (KJV / "heldout.txt").read_text()


def test_shipped_model():
    ours, theirs = converted(KJV)
    for text in (heldout(), heldout().replace("\n", "\r\n"), *NASTY, "".join(NASTY), "a<|endoftext|>\n<|endoftext|> b"):
        check("kjv-llama", ours, theirs, text)
    check("kjv-llama", ours, theirs, "And God said", special=True)
    assert ours.tokenize("<|endoftext|>") != [0], "special tokens in plain text were parsed unasked"
    ours.close()


def test_llama3():
    ours, theirs = converted(fake("llama-tiny:fill=zero", "llama-tiny"))
    for text in (heldout(), *NASTY, "<|begin_of_text|>x<|eot_id|> <|start_header_id|>user<|end_header_id|>\n\n"):
        check("llama-tiny", ours, theirs, text)
        check("llama-tiny", ours, theirs, text, special=True)  # adds BOS
    ours.close()


def test_qwen2():
    """Qwen2 normalizes to NFC; llama.cpp leaves that to its caller. Given NFC, the ids are equal."""
    ours, theirs = converted(fake("qwen2-tiny:fill=zero", "qwen2-tiny"))
    changed = [t for t in NASTY if unicodedata.normalize("NFC", t) != t]
    assert 0 < len(changed) < 6
    for text in (heldout(), *NASTY, "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>"):
        check("qwen2-tiny", ours, theirs, unicodedata.normalize("NFC", text))
    for text in changed:  # and it is the normalization that makes the difference, nothing else
        assert theirs.encode(text).ids == theirs.encode(unicodedata.normalize("NFC", text)).ids
    ours.close()


def as_older_files(folder, name, tokenizer_class, **config):
    """The folder with vocab.json and merges.txt in place of tokenizer.json."""
    out = WORK / name
    shutil.copytree(folder, out)
    tok = json.loads((out / "tokenizer.json").read_text())
    (out / "tokenizer.json").unlink()
    vocab = tok["model"]["vocab"]
    if tokenizer_class.startswith("GPT2"):  # its special token stands among the others
        vocab.update({t["content"]: t["id"] for t in tok["added_tokens"]})
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    merges = [m if isinstance(m, str) else " ".join(m) for m in tok["model"]["merges"]]
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    settings = json.loads((out / "tokenizer_config.json").read_text())
    if tokenizer_class.startswith("GPT2"):
        del settings["added_tokens_decoder"]
    (out / "tokenizer_config.json").write_text(json.dumps({**settings, "tokenizer_class": tokenizer_class, **config}))
    return out


def test_vocabulary_and_merges_in_files_of_their_own():
    for name, tokenizer_class in (("qwen2", "Qwen2Tokenizer"), ("gpt2", "GPT2Tokenizer")):
        folder = fake(f"{name}-tiny:fill=zero", f"{name}-whole")
        older = as_older_files(folder, f"{name}-older", tokenizer_class)
        same = [convert(source, "F16", None, 2, "--name", "m").read_bytes() for source in (folder, older)]
        assert same[0] == same[1], name

    def refused(label, words, tokenizer_class="GPT2Tokenizer", merges=None, **config):
        older = as_older_files(WORK / "gpt2-whole", label, tokenizer_class, **config)
        if merges:
            (older / "merges.txt").write_text(merges)
        done = run(QUERN, "convert", older, "-o", WORK / "no.gguf", "--engine", "gguf", "--quant", "F16")
        assert done.returncode == 1 and all(w in done.stdout for w in words), (label, done.stdout)

    refused("other-class", ("OtherTokenizer", "pre_tokenizer: NAME"), "OtherTokenizer")
    refused("prefix", ("add_prefix_space",), add_prefix_space=True)
    refused("merge", ("merges.txt", "two halves"), merges="#version: 0.2\na b\nabc\n")
    chosen = as_older_files(WORK / "gpt2-whole", "chosen", "OtherTokenizer")
    llama.Model(convert(chosen, "F16", None, 2, "--with", "pre_tokenizer=gpt-2")).close()


# Letters and digits that Unicode 16.0 added (September 2024). The tokenizers library's tables know them; those of
# llama.cpp (src/unicode-data.cpp) end with 15.1 and take them for symbols.
UNICODE_16 = [
    (0x1c89, 0x1c8a), (0xa7cb, 0xa7cd), (0xa7da, 0xa7dc), (0x105c0, 0x105f3), (0x10d40, 0x10d65), (0x10d6f, 0x10d85),
    (0x10ec2, 0x10ec4), (0x11380, 0x11389), (0x1138b, 0x1138b), (0x1138e, 0x1138e), (0x11390, 0x113b5),
    (0x113b7, 0x113b7), (0x113d1, 0x113d1), (0x113d3, 0x113d3), (0x116d0, 0x116e3), (0x11bc0, 0x11be0),
    (0x11bf0, 0x11bf9), (0x13460, 0x143fa), (0x16100, 0x1611d), (0x16130, 0x16139), (0x16d40, 0x16d6c),
    (0x16d70, 0x16d79), (0x18cff, 0x18cff), (0x1ccf0, 0x1ccf9), (0x1e5d0, 0x1e5ed), (0x1e5f0, 0x1e5fa)]
# Numbers of Unicode 17.0 (September 2025): the library's Digits step asks Rust's tables, which are newer still.
UNICODE_17_NUMBERS = [(0x11de0, 0x11de9), (0x16ff4, 0x16ff6)]


def excused(name):
    ranges = UNICODE_16 + (UNICODE_17_NUMBERS if name == "smollm" else [])
    return {c for first, last in ranges for c in range(first, last + 1)}


@functools.cache
def boundary_model(name):
    tok, vocab = boundaries.tokenizer(name)
    folder = fake(f"llama-tiny:fill=zero,vocab={vocab}", f"boundaries-{name}")
    (folder / "tokenizer.json").write_text(json.dumps(tok))
    (folder / "tokenizer_config.json").write_text("{}")
    return converted(folder)


# Ideographs, syllables of Hangul, private use, Tangut: of a kind within, so one in 31 of them, the ends, and what is
# just outside.
ALIKE = ((0x3400, 0x9fff), (0xac00, 0xd7a3), (0xe000, 0xf8ff), (0x17000, 0x18cff), (0x20000, 0x3ffff))


def every_character():
    """Planes 0 to 3, and 14."""
    left_out = set().union(*(set(range(first + 32, last - 32)) - set(range(first, last, 31)) for first, last in ALIKE))
    return [c for c in (*range(0x40000), *range(0xe0000, 0xe0200)) if not 0xd800 <= c < 0xe000 and c not in left_out]


def test_every_character_is_split_alike():
    def line(c):
        return "a{0}a 1{0}1 !{0}! {0}{0} \n{0}\t{0}".format(chr(c))

    for name in boundaries.RULES:
        ours, theirs = boundary_model(name)

        def differ(text):
            return ours.tokenize(text) != theirs.encode(text, add_special_tokens=False).ids

        found, points = set(), every_character()
        for at in range(0, len(points), 256):
            part = points[at:at + 256]
            if differ("|".join(line(c) for c in part)):
                found.update(c for c in part if differ(line(c)))
        wrong = sorted(found ^ excused(name))
        assert not wrong, f"{name}: {len(wrong)} characters, the first are {[hex(c) for c in wrong[:20]]}"


PIECES = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "'s", "'RE", "’s", "'", "1", "12", "1234", "½", "٣", "a",
          "Zß", "é", "e\u0301", "日", "한", "ع", "हि", "!", "...", "—", "😀", "\u200d", "\ufe0f", "\x00", "\x1c", "\x85", "\u2028",
          "_", "{", "|"]
LONG_S = 0x17f
LATIN_TO_CJK = [c for c in range(0x20, 0x4000) if c != LONG_S and c not in excused("smollm")]


def random_text(rng):
    return "".join(rng.choice(PIECES) if rng.random() < 0.9 else chr(rng.choice(LATIN_TO_CJK))
                   for _ in range(rng.randint(1, 40)))


def test_random_texts_are_split_alike():
    for name in boundaries.RULES:
        ours, theirs = boundary_model(name)
        rng = random.Random(20260101)
        for text in NASTY:
            check(name, ours, theirs, text)
        for _ in range(3000):
            check(name, ours, theirs, random_text(rng))


# Where llama.cpp only comes near to a rule, that is its own doing: it has ranges of letters, marks and ideographic
# spaces of its own for these (src/unicode.cpp, unicode_regex_split_custom_*), and takes digits together for the last
# two.
ONLY_ASCII = ("deepseek-coder", "deepseek-v3", "tekken", "gpt-4o", "falcon", "deepseek-llm")
NO_DIGITS = ("falcon", "deepseek-llm")


def test_rarer_rules_split_random_texts_alike():
    for name in boundaries.MORE_RULES:
        ours, theirs = boundary_model(name)
        rng = random.Random(20260102)
        for _ in range(1000):
            text = random_text(rng)
            check(name, ours, theirs, "".join(c for c in text if (c.isascii() or name not in ONLY_ASCII)
                                              and not (c.isdigit() and name in NO_DIGITS)))


def test_the_long_s_is_the_only_other_difference():
    """In (?i:'s) the tokenizers library's regular expressions fold U+017F to s, so that 'ſ splits from the letters
    behind it; llama.cpp's rules written by hand do not."""
    for name in boundaries.RULES:
        ours, theirs = boundary_model(name)
        differs = ours.tokenize("x'ſa") != theirs.encode("x'ſa", add_special_tokens=False).ids
        assert differs == (name in ("llama-bpe", "smaug-bpe", "qwen2")), name
        for text in ("x'sa", "x'Sa", "xſa", "'ſ", "x ſa", "x'ßa", "x'\u212aa"):
            check(name, ours, theirs, text)


run_all(globals())
