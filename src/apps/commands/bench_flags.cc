#include "apps/commands/bench_flags.h"

#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::commands {
namespace {

constexpr int kConnectionsMax = 1024;
constexpr int kStreamsMax = 1024;  // Of one connection: what servers commonly allow.
constexpr int kBatchSizeMax = 1 << 20;

Status OneOf(std::string_view flag, std::string_view got,
             std::initializer_list<std::string_view> known) {
  std::string expected;
  for (const std::string_view word : known) {
    if (got == word) return {};
    expected += Concat(expected.empty() ? "" : ", ", word);
  }
  return InvalidArgument(Concat("--", flag, ": got '", got, "', expected one of ", expected));
}

Status Within(std::string_view flag, int got, int least, int most) {
  if (got >= least && got <= most) return {};
  return InvalidArgument(Concat("--", flag, ": got ", got, ", expected ", least, " to ", most));
}

Result<client::LoadPhase> ParseLoad(std::string_view text, Duration length) {
  client::LoadPhase phase;
  phase.length = length;
  if (text.ends_with("/s")) {
    const auto rate = ParseNumber<double>(text.substr(0, text.size() - 2));
    if (rate && *rate > 0 && *rate <= 1e6) {
      phase.rate_per_s = *rate;
      return phase;
    }
  } else if (const auto clients = ParseNumber<int>(text);
             clients && *clients >= 0 && *clients <= 10'000) {
    phase.concurrency = *clients;
    return phase;
  }
  return InvalidArgument(
      Concat("load '", text, "': expected 0 to 10000 clients, or a rate up to 1000000/s"));
}

}  // namespace

options::FlagSet MakeFlagSet(BenchFlags& flags) {
  options::FlagSet set(
      "tepal bench --model MODEL [FLAGS]",
      "Sends a model requests, closed loop (so many clients, each waiting for its answer) or open "
      "loop (Poisson arrivals), and reports throughput, latency, failures and what it cost. Works "
      "against any v2 server. Nothing is retried. Exit code: 0 when every request was answered "
      "well, 1 when one was not or nothing could be sent, 2 for a wrong command line.");
  set.Group("What to send");
  set.Add("model", &flags.model, "The model's name.");
  set.Add("input-data", &flags.input_data,
          "zero, random, or a folder with a file of raw little-endian bytes for each input, named "
          "as the input.");
  set.Add("shape", &flags.shapes, "NAME:1,3,224,224 for an input with open dimensions.");
  set.Add("batch-size", &flags.batch_size, "Rows of a request, for a model that batches.");
  set.Add("tensors", &flags.tensors, "binary, or json (HTTP): how they travel, both ways.");
  set.Add("photo", &flags.photos, "A photo or a folder of photos, sent in turn instead of data.");
  set.Add("subtract", &flags.subtract, "Of photos: (x - subtract) / divide.");
  set.Add("divide", &flags.divide, "See --subtract.");
  set.Add("verify", &flags.verify,
          "Every answer must equal the first one to the same request; in shared memory, every "
          "output the one answered without. Costs CPU time here.");
  set.Group("Where to");
  AddConnectionFlags(set, flags.connection);
  set.Add("connections", &flags.connections,
          "Connections. gRPC: requests take them in turn. HTTP: one for each client.");
  set.Add("streams", &flags.streams,
          "gRPC: streams of each connection. With --streaming requests take them in turn; without, "
          "a request is a stream, so this is how many each connection has in flight.");
  set.Group("How much");
  set.Add("concurrency", &flags.concurrency,
          "Closed loop: clients, one phase each: 1,4,16. Empty: connections times streams.");
  set.Add("rate", &flags.rate, "Open loop: requests per second, one phase each: 100,200.");
  set.Add("duration", &flags.duration, "Length of each of those phases.");
  set.Add("phases", &flags.phases,
          "Phases of their own lengths: 6@40s is six clients, 100/s@40s a rate, 0@10s a pause.");
  set.Add("seed", &flags.seed, "Of the arrivals and of random data.");
  set.Group("What to report");
  set.Add("server-pid", &flags.server_pid,
          "Process of the server, on this machine: its CPU time a request is reported.");
  set.Add(
      "server-statistics", &flags.server_statistics,
      "Ask the server for its own queue and compute times. Through a balancer they are those of "
      "whichever replica answers.");
  set.Add("json", &flags.json, "Write everything to this file.");
  set.Add("csv", &flags.csv, "Write one row a phase to this file.");
  set.Add("measurements", &flags.measurements,
          "Add one row a phase to this table, which `tepal mig advise` reads; phases with failures "
          "are left out.");
  set.Add("profile", &flags.profile,
          "What the server runs on, for --measurements: a MIG profile, as 3g.20gb.");
  set.Add("plot", &flags.plot, "Draw load, throughput and latency over time to this PNG file.");
  set.Add("progress", &flags.progress,
          "Each second: auto (a line when the output is a terminal), line, none, or json (one "
          "object a line on stdout instead of the table).");
  set.Example("tepal bench --model resnet50 --concurrency 1,4,16 --plot load.png",
              "three phases of ten seconds, drawn");
  set.Example("tepal bench --model resnet50 --rate 50 --duration 60s --photo photos/",
              "fifty photos a second for a minute, whatever the server does");
  set.Example("tepal bench --model m --protocol grpc --connections 8 --streams 8",
              "gRPC calls, 64 at once on eight connections");
  set.Example(
      "tepal bench --model m --protocol grpc --streaming --shared-memory system --concurrency 16",
      "sixteen requests at once on one stream, tensors in shared memory");
  return set;
}

Status CheckFlags(const BenchFlags& flags) {
  RETURN_IF_ERROR(flags.connection.Check());
  RETURN_IF_ERROR(OneOf("tensors", flags.tensors, {"binary", "json"}));
  RETURN_IF_ERROR(OneOf("progress", flags.progress, {"auto", "line", "none", "json"}));
  RETURN_IF_ERROR(Within("connections", flags.connections, 1, kConnectionsMax));
  RETURN_IF_ERROR(Within("streams", flags.streams, 1, kStreamsMax));
  RETURN_IF_ERROR(Within("batch-size", flags.batch_size, 1, kBatchSizeMax));
  const bool grpc = flags.connection.grpc();
  if (flags.tensors == "json" && (grpc || flags.connection.in_shared_memory())) {
    return InvalidArgument(
        "--tensors: json is for HTTP without shared memory; expected binary here");
  }
  if (!grpc && flags.streams > 1) {
    return InvalidArgument("--streams: HTTP/1.1 has none; expected --protocol grpc with it");
  }
  const bool says_load = !flags.concurrency.empty() || !flags.rate.empty() || !flags.phases.empty();
  if (!grpc && flags.connections > 1 && says_load) {
    return InvalidArgument(
        "--connections: over HTTP each client has its own; expected --concurrency alone");
  }
  if (grpc && !flags.connection.streaming && flags.streams > 1 && says_load) {
    return InvalidArgument(
        "--streams: without --streaming a request is a stream; expected --concurrency alone");
  }
  if (flags.measurements.empty() != flags.profile.empty()) {
    return InvalidArgument(Concat("--profile: got '", flags.profile,
                                  "', expected a MIG profile together with --measurements"));
  }
  return {};
}

Result<std::vector<client::LoadPhase>> ParsePhases(const BenchFlags& flags) {
  std::vector<client::LoadPhase> phases;
  if (!flags.phases.empty()) {
    for (const std::string_view text : Split(flags.phases, ',')) {
      const size_t at = text.find('@');
      const auto length =
          at == std::string_view::npos ? std::nullopt : options::ParseDuration(text.substr(at + 1));
      if (!length || *length <= 0s) {
        return InvalidArgument(
            Concat("--phases: got '", text, "', expected LOAD@DURATION as 6@40s"));
      }
      ASSIGN_OR_RETURN(client::LoadPhase phase, ParseLoad(text.substr(0, at), *length));
      phases.push_back(phase);
    }
  }
  if (!flags.rate.empty()) {
    for (const std::string_view text : Split(flags.rate, ',')) {
      ASSIGN_OR_RETURN(client::LoadPhase phase, ParseLoad(Concat(text, "/s"), flags.duration));
      phases.push_back(phase);
    }
  }
  if (!flags.concurrency.empty() || phases.empty()) {
    const std::string clients =
        flags.concurrency.empty() ? Concat(flags.connections * flags.streams) : flags.concurrency;
    for (const std::string_view text : Split(clients, ',')) {
      ASSIGN_OR_RETURN(client::LoadPhase phase, ParseLoad(text, flags.duration));
      phases.push_back(phase);
    }
  }
  return phases;
}

Result<Shape> ShapeFor(const BenchFlags& flags, const std::string& input) {
  Shape shape;
  for (const std::string& text : flags.shapes) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos) {
      return InvalidArgument(Concat("--shape: got '", text, "', expected NAME:1,3,224,224"));
    }
    if (text.substr(0, colon) != input) continue;
    shape.clear();  // Of two for one input the last one counts.
    for (const std::string_view part : Split(std::string_view(text).substr(colon + 1), ',')) {
      const auto dimension = ParseNumber<int64_t>(part);
      if (!dimension || *dimension < 0) {
        return InvalidArgument(Concat("--shape: got '", text, "', expected NAME:1,3,224,224"));
      }
      shape.push_back(*dimension);
    }
  }
  return shape;
}

}  // namespace tepal::commands
