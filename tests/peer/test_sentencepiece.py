"""SentencePiece and WordPiece: ids by llama.cpp from our GGUF equal those of the library that the tokenizer is from."""
import io
import json
import random
import sys

import llama
from peer import KJV, convert, fake, run_all

try:
    import sentencepiece
    import tokenizers
    from tokenizers import decoders, normalizers, pre_tokenizers, trainers
    from transformers import LlamaTokenizer
    from transformers.convert_slow_tokenizer import convert_slow_tokenizer
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

TEXTS = [
    "", " ", "\n", "a", " a", "a ", "Hello, world!", "  two  spaces\tand tab\n\nnewlines \n \n x",
    "\r\nCRLF\r\n\r\n end\r",
    "naïve café — “quotes” 日本語 한국어 العربية עברית हिन्दी ไทย Ελληνικά Русский ქართული ᠮᠣᠩᠭᠣᠯ ᏣᎳᎩ བོད་སྐད",
    "😀👩‍👩‍👧‍👦🇩🇪 👍🏽 ☃️ 1️⃣", "e\u0301 Z\u0351\u036b\u0343A\u0334", "\x07control\x1b[31m\x7f\x85\x1c\x1f",
    "0 1 12 1234567890 3.14 ½ Ⅷ ٣٤٥ 𝟘𝟙𝟚",
    "1" * 300, " " * 200 + "x", "\t" * 50 + "y", "a" * 500, "\n" * 50, " \n" * 40,
    "!?.,;:()[]{}<>/\\|@#$%^&*-_=+`~\"'" * 3,
    "for (int i = 0; i < n; i++) {\n\treturn x[i];\n}",
    "ﬁ ① ㎏ ™ \u200b\u200d\ufeff \u00a0\u2003x\u3000y\u2028z", "𝔘𝔫𝔦 𐍈 𠜎 \ufffd\U0010ffff\ue000",
    "<s> is no token here </s>, <0x41> neither", "▁the sign of the space▁ itself"]


def heldout():
    return (KJV / "heldout.txt").read_text()


def random_texts(n):
    rng = random.Random(5)
    pieces = [" ", "  ", "\n", "the ", "and", "LORD", "é", "日", "😀", "a", "b", "th", "1", "!", "\t", "\u00a0", "ß"]
    return ["".join(rng.choice(pieces) for _ in range(rng.randint(1, 40))) for _ in range(n)]


def trained(**options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(heldout().splitlines() * 2), model_writer=out, model_type="bpe", vocab_size=900,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, minloglevel=2, **options)
    return out.getvalue()


def folder_with(name, rows, files):
    folder = fake(f"mistral-tiny:fill=zero,vocab={rows}", name)
    for old in ("tokenizer.model", "tokenizer_config.json"):
        (folder / old).unlink()
    for file, data in files.items():
        (folder / file).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return llama.Model(convert(folder, "F16"))


def check(name, ours, encode, texts):
    for text in texts:
        a, b = ours.tokenize(text, parse_special=True), encode(text)
        assert a == b, f"{name}: {text[:60]!r}:\n llama.cpp {a[:40]}\n theirs    {b[:40]}"


def test_tokenizer_model():
    for front in (True, False):
        data = trained(add_dummy_prefix=front)
        theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
        ours = folder_with(f"spm-{front}", 1024, {"tokenizer.model": data, "tokenizer_config.json": {}})
        # A control token in the text is split as any other text there; with llama.cpp's parse_special it is one.
        texts = [t for t in [heldout(), *TEXTS, "".join(TEXTS[:-2]), *random_texts(500)] if "<s>" not in t]
        check(f"space in front {front}", ours, theirs.encode, texts)
        ours.close()


def test_user_defined_and_added_tokens():
    """Without the space in front: llama.cpp puts it behind every token that stands for itself, too."""
    data = trained(user_defined_symbols=["<|user|>", "LORD▁God"], add_dummy_prefix=False)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=data)
    config = {"added_tokens_decoder": {"900": {"content": "<|end|>", "special": True}, "901": {"content": "Zebaoth"}}}
    ours = folder_with("spm-added", 1024, {"tokenizer.model": data, "tokenizer_config.json": config})
    check("user-defined", ours, theirs.encode, ["x<|user|>y", "the LORD God said", "LORD GodLORD God", heldout()])
    ids = ours.tokenize("a<|end|>Zebaoth<|user|>", parse_special=True)
    assert 900 in ids and 901 in ids and theirs.piece_to_id("<|user|>") in ids, ids
    assert 900 not in ours.tokenize("a<|end|>"), "a control token was parsed unasked"
    ours.close()


def test_the_same_as_tokenizer_json():
    """Merges instead of scores: llama.cpp must merge in their order all the same."""
    data = trained()
    path = fake("mistral-tiny", "spm-slow") / "tokenizer.model"
    path.write_bytes(data)
    theirs = convert_slow_tokenizer(LlamaTokenizer(str(path), legacy=True))
    root = json.loads(theirs.to_str())
    assert root["model"]["byte_fallback"] and root["model"]["merges"]
    ours = folder_with("spm-json", 1024, {"tokenizer.json": root, "tokenizer_config.json": {}})
    texts = [t for t in [heldout(), *TEXTS, *random_texts(500)] if t and "<s>" not in t]
    check("tokenizer.json", ours, lambda t: theirs.encode(t, add_special_tokens=False).ids, texts)
    ours.close()


def no_wordpiece(text):
    """What llama.cpp reads otherwise: a word of more than 100 characters is unknown by BERT's rule, and an enclosing mark is no
    accent."""
    return "\u20e3" in text or max(map(len, text.split()), default=0) > 100


def test_wordpiece():
    theirs = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    theirs.normalizer = normalizers.BertNormalizer(lowercase=True)
    theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    theirs.decoder = decoders.WordPiece()
    theirs.train_from_iterator(heldout().splitlines(), trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    config = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}
    config |= {"bos_token": "[CLS]", "eos_token": "[SEP]"}
    ours = folder_with("wordpiece", 1024, {"tokenizer.json": json.loads(theirs.to_str()),
                                           "tokenizer_config.json": config})
    texts = [heldout(), "Hello, world!", "naïve café — “quotes”", "In the beginning God created", "unbelievable!!",
             "  two  spaces\tand tab\n\nnewlines"]
    def encode(text):
        return theirs.encode(text, add_special_tokens=False).ids

    check("WordPiece", ours, encode, [*texts, *(t for t in TEXTS if not no_wordpiece(t)), *random_texts(500)])
    assert all(ours.tokenize(t) != encode(t) for t in TEXTS if no_wordpiece(t)), "llama.cpp does it now"
    ours.close()


run_all(globals())
