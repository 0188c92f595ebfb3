// "?fields=a,b" of the NGINX Plus API: an answer cut down to some of its members.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tepal::lb {

// `text` is a JSON object. Keeps the members named in `fields`; with `below`, of each member's
// object instead, so that a list by name keeps its names.
std::string KeepFields(std::string_view text, const std::vector<std::string_view>& fields,
                       bool below);

}  // namespace tepal::lb
