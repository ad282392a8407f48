/*
 * recognise.h: which preset is meant for a network, by its looks.
 *
 * Detectors differ in their outputs, embedders mostly in how they want to be
 * fed, which a graph does not tell unless it normalises by itself, and even
 * then not in which channel order.  A guess that could be wrong is never made:
 * the caller then hears what was seen and which presets it may be.
 */
#ifndef FR_CORE_FACE_RECOGNISE_H
#define FR_CORE_FACE_RECOGNISE_H

#include "core/face/face.h"

/*
 * Find the preset for a model of count networks.  *descriptor gets its
 * defaults, with mean 0 and scale 1 where the graph normalises by itself.
 * MISMATCH when there is none or more than one; hint then gets a sentence
 * that says what to name.
 */
FrStatus
fr_preset_recognise(FrNet *const *nets, int count, const FrCancel *cancel,
					const FrAllocator *allocator, FrDescriptor *descriptor,
					char hint[256], FrError *error);

#endif
