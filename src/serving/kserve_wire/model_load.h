// How loaded a server is with one model, in the words that a server and the balancer in front of it
// exchange.
//
// A request with the header field (or gRPC metadata) `tepal-load-report: 1` is answered with
// `tepal-load`, over gRPC in the trailers:
//
//   in_flight=3,queued=2,wait_us=1500,each_us=500,instances=1,room=6,all=4,ready=1
//
// Nobody else is told anything, so stock clients and servers see nothing new. The same numbers for
// every model are the JSON of GET /v2/tepal/load. Fields may come in any order; unknown ones are
// stepped over. Pure; neither reading nor writing a report allocates.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"

namespace tepal {

inline constexpr std::string_view kLoadAskField = "tepal-load-report";  // "1".
inline constexpr std::string_view kLoadField = "tepal-load";
inline constexpr std::string_view kLoadPath = "/v2/tepal/load";

struct ModelLoad {
  uint64_t in_flight = 0;  // Requests for the model, queued ones included; not the one answered.
  uint64_t queued = 0;     // Of them: execution has not begun.
  Duration wait{};         // How long one more would wait, by what requests have taken of late.
  Duration each{};         // Apart from one another when there is always work; 0: not known yet.
  uint64_t instances = 1;  // That execute side by side.
  uint64_t room = 0;       // Rows that could join the batch being collected; 0: nothing is batched.
  uint64_t in_flight_all = 0;  // Requests for any model.
  bool ready = true;
};

// `now` waits of a model with `in_flight` requests: who finds an instance free does not wait.
Duration ExpectedWait(const ModelLoad& load);

// Text of any ModelLoad fits.
inline constexpr size_t kLoadTextMax = 224;
using LoadText = std::array<char, kLoadTextMax>;
std::string_view WriteModelLoad(const ModelLoad& load, LoadText& text);

// Nothing when it is malformed or longer than kLoadTextMax: then nothing of it counts.
std::optional<ModelLoad> ReadModelLoad(std::string_view text);

// A server's answer to GET /v2/tepal/load.
struct ServerLoad {
  struct Model {
    std::string name;
    ModelLoad load;
  };
  bool ready = false;
  uint64_t in_flight = 0;
  std::vector<Model> models;  // Versions of one model are one entry: it is ready if one of them is.
};
inline constexpr size_t kServerLoadModelsMax = 4096;

// kInvalidArgument when it is not such an answer, kResourceExhausted above kServerLoadModelsMax.
Result<ServerLoad> ReadServerLoad(std::string_view json);

// The models that are READY in the answer to POST /v2/repository/index, for servers that do not
// know the path above. Errors likewise.
Result<ServerLoad> ReadRepositoryIndex(std::string_view json);

}  // namespace tepal
