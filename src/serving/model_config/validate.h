// What a server refuses in a configuration, in Triton's words where it has some.
//
// Run on a normalised draft. The first mistake found is the answer: kInvalidArgument, naming the
// field and the model. Whether the files exist and the backend is installed is found out by who
// opens them.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "serving/model_config/parse.h"

namespace tepal {

// `model_name`: the directory's. The name in the file must be it.
Status Validate(const ConfigDraft& draft, std::string_view model_name);

// After NormaliseInstanceGroups; `gpus` are those the server may use.
Status ValidateInstanceGroups(const ConfigDraft& draft, std::span<const int32_t> gpus);

// Whether the inputs and outputs are all there, which they must be where nothing completes them
// (--disable-auto-complete-config) and after completion.
Status ValidateComplete(const ConfigDraft& draft);

}  // namespace tepal
