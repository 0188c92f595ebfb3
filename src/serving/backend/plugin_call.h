// Calls into a plugin: its error becomes a Status, and an exception stops here.

#pragma once

#include <exception>
#include <string_view>

#include "core/base/text.h"
#include "serving/backend/host/server_objects.h"

namespace tepal::backend_host {

template <typename Call>
Status CallPlugin(std::string_view backend, std::string_view function, Call call) {
  try {
    return TakeStatus(call());
  } catch (const std::exception& thrown) {
    return Internal(Concat("the backend '", backend, "' threw in ", function, ": ", thrown.what()));
  } catch (...) {
    return Internal(Concat("the backend '", backend, "' threw in ", function));
  }
}

}  // namespace tepal::backend_host
