"""A tokenizer that shows where text is split: made for tests, in the form of tokenizer.json.

Byte-level BPE merges only inside the pieces that its pre-tokenizer makes. This vocabulary has one merge for every way
in which two characters can touch (last byte of one, first byte of the next) and none inside a character, so whether
any two neighbours were split is visible in the ids. Ordinary vocabularies hide most wrong splits.
"""
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ASCII = "aZs19 !'\n\r\t"


def _split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _bytes(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


# Name in llama.cpp: pre_tokenizer of tokenizer.json, ignore_merges. Sources: the files of GPT-2, SmolLM, Llama 3,
# Smaug (Llama 3's without ignore_merges) and Qwen2.
RULES = {
    "gpt-2": (_bytes(True), False),
    "smollm": (_sequence({"type": "Digits", "individual_digits": True}, _bytes(True)), False),
    "llama-bpe": (_sequence(_split(CONTRACTIONS + "|" + WORDS + r"|\p{N}{1,3}" + TAIL), _bytes(False)), True),
    "smaug-bpe": (_sequence(_split(CONTRACTIONS + "|" + WORDS + r"|\p{N}{1,3}" + TAIL), _bytes(False)), False),
    "qwen2": (_sequence(_split(CONTRACTIONS + "|" + WORDS + r"|\p{N}" + TAIL), _bytes(False)), False),
}


UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+", r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*")
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
DIGITS = {"type": "Digits", "individual_digits": True}
CJK_OLD, CJK = "[一-龥ࠀ-一가-퟿]+", "[一-龥぀-ゟ゠-ヿ]+"
# The letters of DeepSeek LLM's second pattern, those of the first blocks: enough for the texts of the tests.
LETTERS = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ"

# The same of models whose rules are less common: Qwen3.5, DeepSeek LLM, Coder and V3, Mistral NeMo, GPT-4o, Falcon,
# BLOOM, MiniCPM5, Viking, Ling, Seed-Coder.
MORE_RULES = {
    "qwen35": (_sequence(_split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
                                + r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES), _bytes(False)), False),
    "deepseek-coder": (_sequence(_split("[\r\n]"), _split(r"\s?\p{L}+"), _split(r"\s?\p{P}+"), _split(CJK_OLD), DIGITS,
                                 _bytes(False)), False),
    "deepseek-v3": (_sequence(
        _split(r"\p{N}{1,3}"), _split(CJK),
        _split(r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
               + r"| ?[\p{P}\p{S}]+[\r\n]*" + SPACES), _bytes(False)), False),
    "tekken": (_sequence(_split(CASED[0] + "|" + CASED[1] + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES),
                         _bytes(False)), True),
    "gpt-4o": (_sequence(_split(CASED[0] + CONTRACTIONS + "?|" + CASED[1] + CONTRACTIONS
                                + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES), _bytes(False)), False),
    "falcon": (_sequence({"type": "Punctuation", "behavior": "Contiguous"}, _bytes(True),
                         {"type": "Digits", "individual_digits": False}, _split("[0-9][0-9][0-9]")), False),
    "bloom": (_sequence(_split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), _bytes(False)), False),
    "minicpm5": (_sequence(_split(r"\p{N}{1,3}"), _split(CONTRACTIONS + "|" + WORDS + r"|\p{N}+" + TAIL), _bytes(False)), False),
    "viking": (_sequence(_split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), DIGITS, _bytes(False)), False),
    "bailingmoe": (_sequence(_split(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
                                    + r"|\s*[\r\n]|\s+(?!\S)|\s+"), _bytes(False)), False),
    "seed-coder": (_sequence(_split(CONTRACTIONS + "|" + WORDS + r"|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + SPACES),
                             _bytes(False)), False),
    "deepseek-llm": (_sequence(_split("[\r\n]"), _split(r"\s?[" + LETTERS + "]+"),
                               _split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"), _split(r"\s+$"), _split(CJK_OLD), DIGITS,
                               _bytes(False)), False),
}


def byte_alphabet():
    """GPT-2's printable character of every byte."""
    printable = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def tokenizer(name):
    """The whole of tokenizer.json, and the number of its tokens."""
    show = byte_alphabet()
    ends = [*range(0x80, 0xc0), *ASCII.encode()]
    starts = [*range(0xc2, 0xf5), *ASCII.encode()]
    pairs = [(show[x], show[y]) for x in ends for y in starts]
    texts = [show[b] for b in range(256)] + [x + y for x, y in pairs]
    pre_tokenizer, ignore_merges = {**RULES, **MORE_RULES}[name]
    special = {"id": len(texts), "content": "<|endoftext|>", "special": True, "single_word": False, "lstrip": False,
               "rstrip": False, "normalized": False}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [special], "pre_tokenizer": pre_tokenizer, "decoder": _bytes(True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": ignore_merges, "vocab": {t: i for i, t in enumerate(texts)},
                  "merges": [list(p) for p in pairs]},
    }, len(texts) + 1
