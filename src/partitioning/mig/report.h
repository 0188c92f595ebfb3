// GPUs and plans, written for a person and for a script.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "partitioning/mig/apply.h"

namespace tepal::mig {

// GPUs, MIG devices, who holds them, what still fits.
std::string ListText(const std::vector<Gpu>& gpus);
std::string ListJson(const std::vector<Gpu>& gpus);

// What each GPU can be cut into, as its driver says: a table a model.
std::string ProfilesText(const std::vector<Gpu>& gpus);

// The steps for each GPU, what each disturbs, what stays; or who is in the way.
using Plans = std::map<int, Plan>;
std::string PlanText(const std::vector<Gpu>& gpus, const Plans& plans);
std::string PlanJson(const std::vector<Gpu>& gpus, const Plans& plans);

// What a step takes away from whom: "" for one that disturbs nothing.
std::string Disturbs(const Gpu& gpu, const Step& step);

}  // namespace tepal::mig
