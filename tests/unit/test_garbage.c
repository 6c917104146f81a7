/* test_garbage: what is language and what is not. Good answers first: none of them may be accused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/path.h"
#include "orchestrator/measure/garbage.h"
#include "orchestrator/measure/letters.h"

static enum garbage look(const char *language, const char *text)
{
	const struct garbage_question q = { .prompt = "?", .language = language };
	char why[GARBAGE_WHY_MAX];
	enum garbage g = garbage_look(&q, text, strlen(text), why);

	assert_int_equal(g == GARBAGE_NONE, why[0] == '\0'); /* a finding says why */
	return g;
}

#define GOOD(language, text) assert_string_equal(garbage_name(look(language, text)), "none")
#define BAD(word, language, text) assert_string_equal(garbage_name(look(language, text)), word)

static const char english[] =
	"Water boils when its vapour pressure equals the pressure of the air above it. On a high "
	"mountain there is less air, so the pressure is lower and the water needs less heat to "
	"reach that point. That is why pasta takes longer to cook there, even though the water is "
	"bubbling.";

static void test_good_answers(void **state)
{
	(void)state;
	GOOD("en", english);
	GOOD("en", "42.");
	GOOD("en", "No.");
	GOOD(NULL, english);
	GOOD("de",
	     "Auf einem hohen Berg ist der Luftdruck niedriger, und deshalb siedet das Wasser "
	     "schon bei einer Temperatur, die unter der am Meer liegt. Man muss also länger "
	     "warten, bis die Nudeln gar sind.");
	GOOD("fr", "En montagne, la pression de l'air est plus faible, et l'eau bout donc à une "
		   "température plus basse que dans la vallée. Il faut alors cuire les pâtes plus "
		   "longtemps, parce que le feu ne peut pas chauffer l'eau davantage.");
	GOOD("ru", "На высокой горе давление воздуха ниже, и поэтому вода кипит при более низкой "
		   "температуре, чем у моря. Макароны там нужно варить дольше, так как вода не "
		   "может стать горячее.");
	GOOD("zh", "高山上的空气稀薄，气压较低，所以水在较低的温度下就会沸腾。因此在山上煮面需要更"
		   "长的时间。");
	GOOD("ja", "高い山の上では空気が薄く、気圧が低いので、水は低い温度で沸騰します。そのため、"
		   "麺をゆでるのに時間がかかります。");
	GOOD("ko",
	     "높은 산에서는 공기가 희박하여 기압이 낮기 때문에 물이 더 낮은 온도에서 끓습니다.");
	GOOD("ar", "في أعالي الجبال يكون ضغط الهواء أقل ولذلك يغلي الماء عند درجة حرارة أقل.");
}

static void test_form_is_no_fault(void **state)
{
	(void)state;
	GOOD("en",
	     "1. **Cow**: gives milk.\n2. **Pig**: is kept for meat.\n3. **Hen**: lays eggs.\n"
	     "4. **Sheep**: gives wool.\n5. **Dog**: guards the farm.\n");
	GOOD("en",
	     "| animal | use |\n|--------------------------------------|-----|\n"
	     "| cow | milk |\n| hen | eggs |\n| sheep | wool |\n| dog | it guards the house |\n");
	GOOD("en", "Here is how it is done:\n\n```c\nfor (int i = 0; i < n; i++)\n\tsum += v[i];\n"
		   "```\n\nThe loop adds the values of the array to the sum.");
	GOOD("en", "Ha ha ha ha! That is a good question, and the answer to it is no, no, no.");
	/* A number of things that are alike, as lists have them. */
	GOOD("en", "Monday: rain. Tuesday: rain. Wednesday: sun. Thursday: rain. Friday: fog. "
		   "Saturday: sun. Sunday: wind. The week was rather wet in all.");
}

static void test_bytes(void **state)
{
	const struct garbage_question cut = { .prompt = "?", .cut = true },
				      whole = { .prompt = "?" };
	char why[GARBAGE_WHY_MAX];

	(void)state;
	BAD("empty", "en", "");
	BAD("empty", "en", " \n... !?");
	BAD("utf8", "en", "The water\xff is hot");
	BAD("utf8", "en", "The \xef\xbf\xbd\xef\xbf\xbd water");
	GOOD("en",
	     "The answer ends in the middle of a character \xef\xbf\xbd, after many words that are "
	     "all right, so that it is one of more than a hundred characters of the text.");
	assert_int_equal(garbage_look(&cut, "The price is 5 \xe2\x82", 17, why), GARBAGE_NONE);
	assert_int_equal(garbage_look(&whole, "The price is 5 \xe2\x82", 17, why), GARBAGE_UTF8);
	assert_int_equal(garbage_look(&cut, "The \xe2\x82 price is 5", 17, why), GARBAGE_UTF8);
	assert_int_equal(garbage_look(&whole, "a\0b", 3, why), GARBAGE_NONE);
}

static void test_symbols(void **state)
{
	(void)state;
	BAD("symbols", "en", "<|>}{}{)(}{][;;;:::,,,!!@@##$$%%^^&&**()__++<><><>?? a b");
	BAD("symbols", "en",
	    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnop");
}

static void test_repetition(void **state)
{
	char *long_text = malloc(200001);

	(void)state;
	assert_non_null(long_text);
	memset(long_text, 'x', 200000);
	long_text[200000] = '\0';
	BAD("repeats", "en",
	    "the king of the king of the king of the king of the king of the king of");
	BAD("repeats", "en", "no no no no no no no no no no no no no no");
	BAD("repeats", "en", "Well, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	BAD("repeats", "zh", "好的好的好的好的好的好的好的好的好的");
	BAD("symbols", "en", long_text + 199900);
	assert_int_not_equal(look("en", long_text), GARBAGE_NONE);
	/* Not in a row, but out of few words. */
	BAD("repeats", "en",
	    "the sea and the sun and the sea and the moon and the sun and the sea and the sun and "
	    "the "
	    "moon and the sea and the sun and the moon and the sea and the sun and the sea and the "
	    "moon "
	    "and the sun and the sea and the sun and the sea and the moon and the sun and the sea");
	free(long_text);
}

static void test_other_languages(void **state)
{
	(void)state;
	BAD("script", "en", "高山上的空气稀薄，气压较低，所以水在较低的温度下就会沸腾。");
	BAD("script", "zh", english);
	BAD("script", "ru", english);
	BAD("script", "zh", "たかいやまのうえではくうきがうすくてみずがはやくふっとうします。");
	BAD("language", "de", english);
	BAD("language", "en",
	    "Auf einem hohen Berg ist der Luftdruck niedriger, und deshalb siedet das Wasser schon "
	    "bei "
	    "einer Temperatur, die unter der am Meer liegt.");
	BAD("language", "en",
	    "mountain pasta reach bubbling heat cook vapour level ridge boil kettle stove quickly "
	    "summit "
	    "lower pressure altitude degrees minutes spoon salt lid steam river stone gas oxygen "
	    "hiker "
	    "cabin winter valley thermometer needle glass column mercury scale point curve table "
	    "chart");
}

static void test_topic(void **state)
{
	static const char *const topic[] = { "bread", "dough" };
	const struct garbage_question asked = { .prompt = "?", .topic = topic, .n_topic = 2 };
	const struct garbage_question prompt = {
		.prompt = "Why does water boil sooner on a mountain?", .language = "en"
	};
	char why[GARBAGE_WHY_MAX];
	static const char other[] =
		"The king of the north went to the city with all of his men and "
		"took the gold.";

	(void)state;
	assert_int_equal(garbage_look(&asked, english, strlen(english), why), GARBAGE_TOPIC);
	assert_int_equal(garbage_look(&prompt, english, strlen(english), why), GARBAGE_NONE);
	assert_int_equal(garbage_look(&prompt, other, strlen(other), why), GARBAGE_TOPIC);
	assert_int_equal(garbage_look(&prompt, "I do not know.", 14, why), GARBAGE_NONE);
	const struct garbage_question chinese = { .prompt = "为什么水在高山上沸腾得更早？",
						  .language = "zh" };
	static const char good[] = "因为高山上气压低，所以沸腾的温度也低，这就是原因。";
	static const char bad[] = "国王带着他的士兵去了北方的城市，拿走了所有的金子。";

	assert_int_equal(garbage_look(&chinese, good, strlen(good), why), GARBAGE_NONE);
	assert_int_equal(garbage_look(&chinese, bad, strlen(bad), why), GARBAGE_TOPIC);
}

/* The Bible's English is language, in pieces of every size. */
static void test_real_prose(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;
	size_t accused = 0, pieces = 0;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(path_read(TEST_DATA "/kjv-llama/heldout.txt", 1 << 20, &b, &e), 0);
	for (size_t size = 200; size <= 3200; size *= 2) {
		for (size_t at = 0; at + size < b.len; at += size) {
			const struct garbage_question q = { .prompt = "?",
							    .language = "en",
							    .cut = true };
			char why[GARBAGE_WHY_MAX];

			pieces++;
			accused += garbage_look(&q, b.data + at, size, why) != GARBAGE_NONE;
		}
	}
	buf_release(&b);
	assert_true(pieces > 500);
	assert_int_equal(accused, 0);
}

static void test_words(void **state)
{
	struct word w[16], one[2];
	static const char text[] =
		"Don't l\xc3\xa4sst 42 \xe6\xb0\xb4\xe5\xb1\xb1, caf\x65\xcc\x81!";

	(void)state;
	assert_int_equal(words_of(text, strlen(text), w, 16), 6);
	assert_int_equal(w[0].chars, 4 + 0); /* the apostrophe is no letter */
	assert_int_equal(w[3].script, SCRIPT_HAN);
	assert_int_equal(words_of("rivers river", 12, one, 2), 2);
	assert_true(word_related(&one[0], &one[1]));
	assert_int_equal(words_of("man river", 9, one, 2), 2);
	assert_false(word_related(&one[0], &one[1]));
	assert_int_equal(letter_lower(0xC4), 0xE4);
	assert_int_equal(letter_lower(0x416), 0x436);
	assert_int_equal(letter_lower(0x141), 0x142); /* Ł */
	assert_int_equal(letter_lower(0x17D), 0x17E); /* Ž */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_answers), cmocka_unit_test(test_form_is_no_fault),
		cmocka_unit_test(test_bytes),	     cmocka_unit_test(test_symbols),
		cmocka_unit_test(test_repetition),   cmocka_unit_test(test_other_languages),
		cmocka_unit_test(test_topic),	     cmocka_unit_test(test_real_prose),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
