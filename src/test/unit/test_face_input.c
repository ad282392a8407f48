/*
 * test_face_input.c: pictures to float planes, and the preset table.
 */
#include "core/face/input.h"
#include "test/unit/tap.h"

/* 2 x 2: red 10, green 20, blue 30, and so on. */
static uint8_t pixels[] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120};
static const FrImage image = {2, 2, pixels, NULL};

static void
test_bgr_without_normalisation(void)
{
	FrDescriptor d;
	FrError error = {0};
	float planes[3 * 3 * 4];
	static const float want[3 * 3 * 4] = {
		30, 60, 0, 0, 90, 120, 0, 0, 0, 0, 0, 0, /* blue */
		20, 50, 0, 0, 80, 110, 0, 0, 0, 0, 0, 0, /* green */
		10, 40, 0, 0, 70, 100, 0, 0, 0, 0, 0, 0, /* red */
	};

	ok(fr_preset_find("yunet", &d) && d.is_bgr, "yunet takes BGR");
	is_status(fr_input_fill(&image, &d, false, 4, 3, NULL, planes, &error),
			  FR_OK, &error, "filled");
	ok(memcmp(planes, want, sizeof want) == 0,
	   "planes, padded with zeros at the right and bottom");
}

static void
test_rgb_normalised_and_mirrored(void)
{
	FrDescriptor d;
	FrError error = {0};
	float planes[3 * 2 * 3];

	ok(fr_preset_find("mobilefacenet", &d) && !d.is_bgr,
	   "mobilefacenet takes RGB");
	is_status(fr_input_fill(&image, &d, true, 3, 2, NULL, planes, &error),
			  FR_OK, &error, "filled");
	ok(planes[0] == (40 - 127.5f) / 128 && planes[1] == (10 - 127.5f) / 128,
	   "the first row of red, mirrored");
	ok(planes[2] == -127.5f / 128, "padding is black");
	ok(planes[6] == (50 - 127.5f) / 128, "green follows");
	ok(planes[15] == (120 - 127.5f) / 128, "second row of blue");
	d.mean[1] = 0;
	d.scale[1] = 2;
	is_status(fr_input_fill(&image, &d, false, 2, 2, NULL, planes, &error),
			  FR_OK, &error, "filled with a scale per channel");
	ok(planes[4] == 40 && planes[0] == (10 - 127.5f) / 128,
	   "each channel has its own");
}

static bool
always(void *context)
{
	(void) context;
	return true;
}

static void
test_limits(void)
{
	FrDescriptor d;
	FrError error = {0};
	FrCancel cancel = {always, NULL};
	float planes[12];

	fr_preset_find("arcface", &d);
	is_status(fr_input_fill(&image, &d, false, 1, 2, NULL, planes, &error),
			  FR_ERR_BUG, &error, "a picture larger than the input is refused");
	is_status(fr_input_fill(&image, &d, false, 2, 2, &cancel, planes, &error),
			  FR_ERR_CANCELLED, &error, "cancel is honoured");
}

static void
test_presets(void)
{
	FrDescriptor d;

	ok(fr_preset_find("omz-reid-0095", &d) && d.is_bgr &&
		   d.input_width == 128 && d.input_height == 128 &&
		   d.alignment == FR_TEMPLATE_OMZ_128 && d.mean[0] == 0 &&
		   d.scale[0] == 1 && d.role == FR_ROLE_EMBEDDER,
	   "omz-reid-0095");
	ok(fr_preset_find("arcface", &d) && d.input_width == 112 &&
		   d.scale[2] == 1 / 127.5f && d.mean[2] == 127.5f &&
		   d.alignment == FR_TEMPLATE_ARCFACE_112,
	   "arcface");
	ok(fr_preset_find("yunet", &d) && d.role == FR_ROLE_DETECTOR &&
		   d.detection_size == 1280 && d.min_face_size == 20 &&
		   d.max_faces == 100 && d.size_multiple == 32,
	   "yunet");
	ok(!fr_preset_find("", &d) && !fr_preset_find("YuNet", &d),
	   "names are exact");
}

int
main(void)
{
	test_bgr_without_normalisation();
	test_rgb_normalised_and_mirrored();
	test_limits();
	test_presets();
	return tap_done();
}
