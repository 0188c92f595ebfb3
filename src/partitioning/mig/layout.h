// How the instances of one GPU lie on it: which fit beside each other, and what else would.
//
// Pure functions over the tables of profiles.h. Two instances never share a memory slice; their
// compute slices and optical flow engines together are at most the GPU's. With no profile of
// double memory and no +me, a seven-slice GPU has 19 layouts to which nothing can be added.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "partitioning/mig/profiles.h"

namespace tepal::mig {

// A GPU instance on its memory slices: [start, start + profile->memory_slices).
struct Placement {
  const Profile* profile = nullptr;
  int start = 0;

  // Bit n: memory slice n is covered.
  unsigned slices() const { return ((1U << profile->memory_slices) - 1) << start; }
  bool operator==(const Placement&) const = default;
};

using Layout = std::vector<Placement>;

// Whether `added`, at a legal start, fits beside what is there.
bool Fits(const GpuModel& model, std::span<const Placement> there, const Placement& added);

// Whether all of them fit together on an empty GPU.
bool IsLegal(const GpuModel& model, std::span<const Placement> layout);

// The starts at which one more instance of `profile` fits, ascending.
std::vector<int> FreeStarts(const GpuModel& model, std::span<const Placement> there,
                            const Profile& profile);

// How many more instances of `profile` fit, if nothing else is added.
int RemainingCapacity(const GpuModel& model, std::span<const Placement> there,
                      const Profile& profile);

// How much could still be added, as a number to compare layouts of one model by: room for one large
// instance counts for more than room for the small ones that fit in its place.
int Room(const GpuModel& model, std::span<const Placement> layout);

// Adds one instance of each of `profiles` to what is there. Of the layouts possible, one that
// leaves the most Room. Empty when they do not fit, and when there is nothing
// to add; in the order of `profiles` otherwise.
Layout Place(const GpuModel& model, std::span<const Placement> there,
             std::span<const Profile* const> profiles);

// Every legal layout made of `profiles`, the empty one included, each once.
std::vector<Layout> AllLayouts(const GpuModel& model, std::span<const Profile* const> profiles);

// Those of them to which none of `profiles` can be added.
std::vector<Layout> MaximalLayouts(const GpuModel& model, std::span<const Profile* const> profiles);

// "3g.20gb at 4".
std::string ToString(const Placement& placement);

}  // namespace tepal::mig
