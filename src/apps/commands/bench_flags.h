// What `tepal bench` is told: flags, and the phases of load they mean.

#pragma once

#include <string>
#include <vector>

#include "apps/commands/client_connection.h"
#include "core/options/flags.h"
#include "serving/client/load_generator.h"

namespace tepal::commands {

struct BenchFlags {
  ConnectionFlags connection;
  std::string model;
  int connections = 1;
  int streams = 1;
  std::string concurrency;
  std::string rate;
  std::string phases;
  Duration duration = 10s;
  std::string tensors = "binary";
  std::string input_data = "zero";
  int batch_size = 1;
  std::vector<std::string> shapes;
  std::vector<std::string> photos;
  double subtract = 127;
  double divide = 128;
  uint64_t seed = 1;
  bool verify = false;
  int server_pid = 0;
  bool server_statistics = true;
  std::string json, csv, plot;
  std::string measurements, profile;
  std::string progress = "auto";
};

options::FlagSet MakeFlagSet(BenchFlags& flags);

// kInvalidArgument for values that are unknown or do not go together.
Status CheckFlags(const BenchFlags& flags);

Result<std::vector<client::LoadPhase>> ParsePhases(const BenchFlags& flags);

// What --shape says of an input; empty when it says nothing.
Result<Shape> ShapeFor(const BenchFlags& flags, const std::string& input);

}  // namespace tepal::commands
