#include "orchestrator/measure/letters.h"

#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"

/* ---- scripts, by blocks of Unicode 15 (Blocks.txt); what a block has beside letters is rare */

static const struct {
	uint32_t first, last;
	enum script script;
} blocks[] = {
	{ 0x41, 0x5A, SCRIPT_LATIN },	   { 0x61, 0x7A, SCRIPT_LATIN },
	{ 0xAA, 0xAA, SCRIPT_LATIN },	   { 0xB5, 0xB5, SCRIPT_GREEK },
	{ 0xBA, 0xBA, SCRIPT_LATIN },	   { 0xC0, 0xD6, SCRIPT_LATIN },
	{ 0xD8, 0xF6, SCRIPT_LATIN },	   { 0xF8, 0x24F, SCRIPT_LATIN },
	{ 0x370, 0x3FF, SCRIPT_GREEK },	   { 0x400, 0x52F, SCRIPT_CYRILLIC },
	{ 0x531, 0x587, SCRIPT_OTHER },	   { 0x5D0, 0x5F4, SCRIPT_HEBREW },
	{ 0x620, 0x65F, SCRIPT_ARABIC },   { 0x66E, 0x6EF, SCRIPT_ARABIC },
	{ 0x6FA, 0x77F, SCRIPT_ARABIC },   { 0x900, 0x963, SCRIPT_DEVANAGARI },
	{ 0x980, 0xDFF, SCRIPT_OTHER },	   { 0xE01, 0xE4E, SCRIPT_THAI },
	{ 0xE81, 0x10FF, SCRIPT_OTHER },   { 0x1100, 0x11FF, SCRIPT_HANGUL },
	{ 0x1200, 0x1CFF, SCRIPT_OTHER },  { 0x1E00, 0x1EFF, SCRIPT_LATIN },
	{ 0x1F00, 0x1FFF, SCRIPT_GREEK },  { 0x2E80, 0x2FDF, SCRIPT_HAN },
	{ 0x3005, 0x3007, SCRIPT_HAN },	   { 0x3041, 0x30FF, SCRIPT_KANA },
	{ 0x3130, 0x318F, SCRIPT_HANGUL }, { 0x31F0, 0x31FF, SCRIPT_KANA },
	{ 0x3400, 0x4DBF, SCRIPT_HAN },	   { 0x4E00, 0x9FFF, SCRIPT_HAN },
	{ 0xA000, 0xABFF, SCRIPT_OTHER },  { 0xAC00, 0xD7FF, SCRIPT_HANGUL },
	{ 0xF900, 0xFAFF, SCRIPT_HAN },	   { 0xFB1D, 0xFB4F, SCRIPT_HEBREW },
	{ 0xFB50, 0xFDFF, SCRIPT_ARABIC }, { 0xFE70, 0xFEFC, SCRIPT_ARABIC },
	{ 0xFF66, 0xFF9F, SCRIPT_KANA },   { 0x10000, 0x1CFFF, SCRIPT_OTHER },
	{ 0x20000, 0x3FFFF, SCRIPT_HAN },
};

enum script letter_script(uint32_t cp)
{
	size_t low = 0, high = ARRAY_LEN(blocks);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (cp > blocks[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < ARRAY_LEN(blocks) && cp >= blocks[low].first ? blocks[low].script
								  : SCRIPT_NONE;
}

uint32_t letter_lower(uint32_t cp)
{
	if ((cp >= 'A' && cp <= 'Z') || (cp >= 0xC0 && cp <= 0xDE && cp != 0xD7) ||
	    (cp >= 0x391 && cp <= 0x3A9) || (cp >= 0x410 && cp <= 0x42F))
		return cp + 0x20;
	if (cp >= 0x400 && cp <= 0x40F)
		return cp + 0x50;
	if (cp >= 0x100 && cp <= 0x17F && cp != 0x130 && cp != 0x131 && cp != 0x138) {
		bool odd_is_upper = (cp >= 0x139 && cp <= 0x148) || cp >= 0x179;

		return (cp & 1) == odd_is_upper ? cp + 1 : cp;
	}
	return cp;
}

/* ---- words */

static bool stands_alone(enum script s)
{
	return s == SCRIPT_HAN || s == SCRIPT_KANA || s == SCRIPT_THAI;
}

static bool is_apostrophe(uint32_t cp)
{
	return cp == '\'' || cp == 0x2019;
}

/* A combining mark continues its word. */
static bool continues(uint32_t cp)
{
	return (cp >= '0' && cp <= '9') || (cp >= 0x300 && cp <= 0x36F);
}

size_t words_of(const char *text, size_t len, struct word *out, size_t max)
{
	struct word *open = NULL;
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		uint32_t cp = 0;
		int step = utf8_next(text + i, len - i, &cp);
		enum script s;

		if (step == 0)
			break;
		s = letter_script(cp);
		if (open && (s != SCRIPT_NONE || continues(cp)) && !stands_alone(s) &&
		    !stands_alone(open->script)) {
			open->len = (size_t)(text + i - open->at) + (size_t)step;
			open->chars++;
			if (open->script == SCRIPT_NONE)
				open->script = s;
		} else if (s != SCRIPT_NONE || continues(cp)) {
			if (n == max)
				return n;
			open = &out[n++];
			*open = (struct word){ text + i, (size_t)step, 1, s };
		} else if (!(open && is_apostrophe(cp))) {
			open = NULL;
		}
		i += (size_t)step;
	}
	return n;
}

/* Characters of a and b that agree from the start. */
static size_t common_start(const struct word *a, const struct word *b)
{
	size_t i = 0, k = 0, n = 0;

	while (i < a->len && k < b->len) {
		uint32_t x, y;
		int sx = utf8_next(a->at + i, a->len - i, &x);
		int sy = utf8_next(b->at + k, b->len - k, &y);

		if (!sx || !sy || letter_lower(x) != letter_lower(y))
			break;
		i += (size_t)sx;
		k += (size_t)sy;
		n++;
	}
	return n;
}

bool word_same(const struct word *a, const struct word *b)
{
	return a->chars == b->chars && common_start(a, b) == a->chars;
}

#define STEM_CHARS 5
#define ENDING_CHARS 4

bool word_related(const struct word *a, const struct word *b)
{
	size_t shorter = a->chars < b->chars ? a->chars : b->chars;
	size_t longer = a->chars < b->chars ? b->chars : a->chars;
	size_t same = common_start(a, b);

	if (same >= STEM_CHARS)
		return true;
	return same == shorter &&
	       (shorter >= 3 ? longer - shorter <= ENDING_CHARS : longer == shorter);
}

/* ---- languages: words that nearly every sentence has */

static const char *const common_de[] = { "der",	  "die",    "das",  "und", "ist",  "in",    "ein",
					 "eine",  "zu",	    "den",  "von", "mit",  "nicht", "auf",
					 "für",	  "im",	    "dem",  "es",  "sich", "auch",  "als",
					 "sie",	  "wird",   "oder", "aus", "wie",  "sind",  "man",
					 "einen", "werden", "kann", "bei", "des",  "dass",  NULL };
static const char *const common_en[] = { "the",	  "of",	  "and", "to",	 "a",	 "in",	 "is",
					 "it",	  "that", "for", "as",	 "with", "was",	 "on",
					 "are",	  "by",	  "be",	 "this", "or",	 "from", "at",
					 "which", "you",  "an",	 "have", "not",	 "he",	 "his",
					 "they",  "we",	  "can", "will", "but",	 "has",	 NULL };
static const char *const common_es[] = { "el",	    "la",  "de",   "que", "y",	 "en",	 "un",
					 "una",	    "los", "se",   "del", "las", "por",	 "con",
					 "no",	    "es",  "para", "al",  "lo",	 "su",	 "como",
					 "más",	    "o",   "pero", "sus", "son", "este", "está",
					 "también", "ser", "hay",  NULL };
static const char *const common_fr[] = { "le",	 "la",	  "les",  "de",	  "des",  "et",	  "un",
					 "une",	 "est",	  "en",	  "du",	  "que",  "qui",  "dans",
					 "pour", "sur",	  "par",  "au",	  "il",	  "elle", "ne",
					 "pas",	 "se",	  "ce",	  "avec", "plus", "ou",	  "sont",
					 "aux",	 "cette", "nous", "vous", "être", NULL };
static const char *const common_it[] = { "il",	  "la",	 "di",	  "che",    "e",   "in",   "un",
					 "una",	  "per", "è",	  "le",	    "con", "non",  "del",
					 "della", "si",	 "da",	  "i",	    "al",  "dei",  "sono",
					 "nel",	  "gli", "anche", "lo",	    "ha",  "alla", "come",
					 "più",	  "o",	 "ma",	  "questo", NULL };
static const char *const common_nl[] = { "de",	 "het", "een",	 "en",	   "van",  "in",   "is",
					 "dat",	 "op",	"te",	 "zijn",   "voor", "met",  "die",
					 "niet", "aan", "er",	 "om",	   "ook",  "als",  "dan",
					 "maar", "bij", "wordt", "of",	   "uit",  "naar", "deze",
					 "je",	 "kan", "hij",	 "worden", NULL };
static const char *const common_pl[] = { "i",	  "w",	  "na",	  "z",	   "do",  "się",
					 "jest",  "nie",  "to",	  "że",	   "o",	  "jak",
					 "po",	  "od",	  "za",	  "przez", "są",  "dla",
					 "oraz",  "lub",  "co",	  "ale",   "tym", "które",
					 "który", "jego", "może", "był",   NULL };
static const char *const common_pt[] = { "o",	 "a",	 "de",	 "que",	 "e",	"do",	"da",
					 "em",	 "um",	 "uma",	 "para", "é",	"com",	"não",
					 "os",	 "as",	 "no",	 "na",	 "por", "mais", "dos",
					 "se",	 "ao",	 "como", "das",	 "ou",	"são",	"também",
					 "pelo", "pela", "sua",	 "foi",	 NULL };
static const char *const common_ru[] = { "и",	"в",   "не",	"на", "что",  "с",	 "по",
					 "это", "как", "к",	"из", "а",    "для",	 "от",
					 "его", "он",  "она",	"но", "или",  "за",	 "у",
					 "то",	"при", "также", "о",  "быть", "который", "так",
					 "они", "все", NULL };
static const char *const common_uk[] = { "і",	"в",  "не",   "на",  "що",    "з",   "до",   "це",
					 "як",	"та", "для",  "від", "його",  "він", "вона", "але",
					 "або", "за", "у",    "при", "також", "є",   "бути", "який",
					 "по",	"й",  "вони", "все", NULL };

const struct language languages[] = {
	{ "ar", SCRIPT_ARABIC, NULL },	      { "bg", SCRIPT_CYRILLIC, NULL },
	{ "de", SCRIPT_LATIN, common_de },    { "el", SCRIPT_GREEK, NULL },
	{ "en", SCRIPT_LATIN, common_en },    { "es", SCRIPT_LATIN, common_es },
	{ "fa", SCRIPT_ARABIC, NULL },	      { "fr", SCRIPT_LATIN, common_fr },
	{ "he", SCRIPT_HEBREW, NULL },	      { "hi", SCRIPT_DEVANAGARI, NULL },
	{ "it", SCRIPT_LATIN, common_it },    { "ja", SCRIPT_HAN | SCRIPT_KANA, NULL },
	{ "ko", SCRIPT_HANGUL, NULL },	      { "nl", SCRIPT_LATIN, common_nl },
	{ "pl", SCRIPT_LATIN, common_pl },    { "pt", SCRIPT_LATIN, common_pt },
	{ "ru", SCRIPT_CYRILLIC, common_ru }, { "th", SCRIPT_THAI, NULL },
	{ "tr", SCRIPT_LATIN, NULL },	      { "uk", SCRIPT_CYRILLIC, common_uk },
	{ "ur", SCRIPT_ARABIC, NULL },	      { "vi", SCRIPT_LATIN, NULL },
	{ "zh", SCRIPT_HAN, NULL },
};
const size_t n_languages = ARRAY_LEN(languages);

const struct language *language_find(const char *code)
{
	for (size_t i = 0; code && i < n_languages; i++)
		if (strcmp(languages[i].code, code) == 0)
			return &languages[i];
	return NULL;
}

bool language_is_common(const struct language *l, const struct word *w)
{
	for (const char *const *p = l->common; p && *p; p++) {
		size_t len = strlen(*p);
		struct word known;

		if (words_of(*p, len, &known, 1) == 1 && word_same(&known, w))
			return true;
	}
	return false;
}
