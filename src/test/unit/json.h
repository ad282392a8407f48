/*
 * json.h: a small JSON reader for test data.
 *
 * A document becomes a tree of nodes; absent members and elements are NULL
 * and every accessor accepts NULL, so that a path can be walked without
 * checks: json_number(json_at(json_get(face, "box"), 0)).  Strings with
 * escapes other than \" \\ and \/ are not supported.  Header only.
 */
#ifndef FR_TEST_JSON_H
#define FR_TEST_JSON_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef enum JsonType
{
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
} JsonType;

typedef struct Json
{
	JsonType type;
	double number; /* JSON_BOOL: 0 or 1 */
	char *text;	   /* JSON_STRING */
	char *name;	   /* of a member of an object */
	struct Json *first;
	struct Json *next;
	int count; /* of elements or members */
} Json;

#define JSON_MAX_DEPTH 32

__attribute__((unused)) static void
json_destroy(Json *json)
{
	while (json)
	{
		Json *next = json->next;

		json_destroy(json->first);
		free(json->text);
		free(json->name);
		free(json);
		json = next;
	}
}

static void
json_skip_space(const char **p)
{
	while (**p == ' ' || **p == '\t' || **p == '\n' || **p == '\r')
		(*p)++;
}

static char *
json_parse_text(const char **p)
{
	const char *start = ++*p;
	size_t length = 0;

	while (**p && **p != '"')
		*p += **p == '\\' && (*p)[1] ? 2 : 1;
	if (**p != '"')
		return NULL;

	char *text = malloc((size_t) (*p - start) + 1);

	for (const char *c = start; text && c < *p; c++)
	{
		if (*c == '\\')
			c++;
		text[length++] = *c;
	}
	if (text)
		text[length] = 0;
	(*p)++;
	return text;
}

static Json *json_parse_value(const char **p, int depth);

/* The elements of an array or the members of an object. */
static bool
json_parse_children(const char **p, int depth, Json *parent, char end)
{
	Json **tail = &parent->first;

	(*p)++;
	json_skip_space(p);
	if (**p == end)
	{
		(*p)++;
		return true;
	}
	for (;;)
	{
		char *name = NULL;

		json_skip_space(p);
		if (end == '}')
		{
			if (**p != '"' || !(name = json_parse_text(p)))
				return false;
			json_skip_space(p);
			if (**p != ':')
			{
				free(name);
				return false;
			}
			(*p)++;
		}
		*tail = json_parse_value(p, depth + 1);
		if (!*tail)
		{
			free(name);
			return false;
		}
		(*tail)->name = name;
		tail = &(*tail)->next;
		parent->count++;
		json_skip_space(p);
		if (**p == end)
		{
			(*p)++;
			return true;
		}
		if (*(*p)++ != ',')
			return false;
	}
}

static bool
json_parse_word(const char **p, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*p, word, length) != 0)
		return false;
	*p += length;
	return true;
}

static bool
json_fill(const char **p, int depth, Json *json)
{
	char *end;

	switch (**p)
	{
		case '{':
			json->type = JSON_OBJECT;
			return json_parse_children(p, depth, json, '}');
		case '[':
			json->type = JSON_ARRAY;
			return json_parse_children(p, depth, json, ']');
		case '"':
			json->type = JSON_STRING;
			return (json->text = json_parse_text(p)) != NULL;
		case 't':
			json->type = JSON_BOOL;
			json->number = 1;
			return json_parse_word(p, "true");
		case 'f':
			json->type = JSON_BOOL;
			return json_parse_word(p, "false");
		case 'n':
			return json_parse_word(p, "null");
		default:
			json->type = JSON_NUMBER;
			json->number = strtod(*p, &end);
			if (end == *p)
				return false;
			*p = end;
			return true;
	}
}

static Json *
json_parse_value(const char **p, int depth)
{
	Json *json = depth < JSON_MAX_DEPTH ? calloc(1, sizeof *json) : NULL;

	json_skip_space(p);
	if (json && !json_fill(p, depth, json))
	{
		json_destroy(json);
		return NULL;
	}
	return json;
}

/* Parse a document of length bytes; NULL when it is malformed. */
__attribute__((unused)) static Json *
json_parse(const void *bytes, size_t length)
{
	char *copy = malloc(length + 1);
	const char *p = copy;
	Json *json = NULL;

	if (copy)
	{
		memcpy(copy, bytes, length);
		copy[length] = 0;
		json = json_parse_value(&p, 0);
	}
	free(copy);
	return json;
}

/* The member of that name; NULL when there is none. */
__attribute__((unused)) static const Json *
json_get(const Json *object, const char *name)
{
	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (const Json *member = object->first; member; member = member->next)
	{
		if (strcmp(member->name, name) == 0)
			return member;
	}
	return NULL;
}

/* Element number index of an array; NULL when there is none. */
__attribute__((unused)) static const Json *
json_at(const Json *array, int index)
{
	const Json *element = array ? array->first : NULL;

	while (element && index-- > 0)
		element = element->next;
	return element;
}

__attribute__((unused)) static int
json_count(const Json *json)
{
	return json ? json->count : 0;
}

/* NaN when it is not a number. */
__attribute__((unused)) static double
json_number(const Json *json)
{
	return json && json->type == JSON_NUMBER ? json->number : (double) NAN;
}

/* "" when it is not a string. */
__attribute__((unused)) static const char *
json_text(const Json *json)
{
	return json && json->type == JSON_STRING ? json->text : "";
}

#endif
