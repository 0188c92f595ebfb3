// A model version that is being served, as the doors see it.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "serving/inference/statistics.h"
#include "serving/model_config/model_config.h"

namespace tepal {

// One model version that is being served; keeps it loaded while held.
class ServedModel {
 public:
  virtual ~ServedModel() = default;
  virtual const std::string& name() const = 0;
  virtual int64_t version() const = 0;
  virtual const ModelConfig& config() const = 0;
  virtual const ModelStatistics& statistics() const = 0;
  // The line of `output`'s label file for a class; empty without one.
  virtual std::string_view Label(std::string_view output, size_t index) const = 0;
  // Whether its executors run inline (see BatchExecutor).
  virtual bool runs_inline() const = 0;
};

// The state of one model version as the repository index shows it.
struct ModelIndexEntry {
  std::string name;
  int64_t version = 0;  // 0: no version is known (the entry then prints none).
  std::string state;    // "READY", "UNAVAILABLE", "LOADING", "UNLOADING"; empty when never loaded.
  std::string reason;
};

}  // namespace tepal
