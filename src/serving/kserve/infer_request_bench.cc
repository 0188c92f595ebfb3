// What reading an inference request in JSON costs: ours beside simdjson's On-Demand API, which
// indexes the text first, on a small request and on a large tensor. Best of several runs.

#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "serving/kserve/infer_request.h"

namespace {

using namespace tepal;

constexpr int kRounds = 7;

std::string Body(int elements, const char* element) {
  std::string body = R"({"id":"42","inputs":[{"name":"X","shape":[)" + std::to_string(elements) +
                     R"(],"datatype":"FP32","data":[)";
  for (int i = 0; i < elements; ++i) body += (i == 0 ? "" : ",") + std::string(element);
  return body + "]}]}";
}

bool ReadOurs(const Buffer& body, const ModelConfig& model) {
  InferenceRequest request;
  kserve::AnswerForm form;
  return kserve::ReadInferRequest(body, body.size(), model, request, form).ok();
}

// The least that has to be done with it: the same members, the elements into a slab.
bool ReadSimdjson(simdjson::ondemand::parser& parser, const Buffer& body, int elements) {
  simdjson::ondemand::document document;
  if (parser
          .iterate(reinterpret_cast<const char*>(body.data()), body.size(),
                   body.size() + body.readable_padding())
          .get(document) != simdjson::SUCCESS) {
    return false;
  }
  InferenceRequest request;
  simdjson::ondemand::object root = document.get_object();
  for (auto member : root) {
    simdjson::ondemand::raw_json_string key = member.key();
    if (key == "id") {
      request.id = std::string_view(member.value().get_string());
    } else if (key == "inputs") {
      for (auto item : member.value().get_array()) {
        InputTensor& input = request.inputs.emplace_back();
        for (auto field : item.get_object()) {
          simdjson::ondemand::raw_json_string name = field.key();
          if (name == "name") {
            input.name = std::string_view(field.value().get_string());
          } else if (name == "datatype") {
            input.type = DataTypeFromName(std::string_view(field.value().get_string()))
                             .value_or(DataType::kInvalid);
          } else if (name == "shape") {
            for (auto length : field.value().get_array()) {
              input.shape.push_back(static_cast<int64_t>(uint64_t(length.get_uint64())));
            }
          } else if (name == "data") {
            Buffer data = Buffer::Allocate(static_cast<size_t>(elements) * sizeof(float));
            auto* out = reinterpret_cast<float*>(data.data());
            for (auto element : field.value().get_array()) {
              *out++ = static_cast<float>(double(element.get_double()));
            }
            input.data.push_back(std::move(data));
          }
        }
      }
    }
  }
  return !request.inputs.empty();
}

template <typename Read>
double BestNanoseconds(int repeats, Read&& read) {
  double best = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    const auto from = std::chrono::high_resolution_clock::now();
    for (int i = 0; i < repeats; ++i) {
      if (!read()) return -1;
    }
    const std::chrono::duration<double, std::nano> took =
        std::chrono::high_resolution_clock::now() - from;
    best = std::min(best, took.count() / repeats);
  }
  return best;
}

}  // namespace

int main() {
  ModelConfig model;
  model.name = "m";
  std::printf("%-28s %12s %12s\n", "request", "ours", "simdjson");
  for (const auto& [elements, element] : {std::pair{4, "1"},
                                          {16, "0.5"},
                                          {1'000'000, "1"},
                                          {1'000'000, "0.12345678"},
                                          {1'000'000, "-1.5e-7"}}) {
    const Buffer body = Buffer::Copy(Body(elements, element));
    const int repeats = elements > 1000 ? 1 : 20'000;
    simdjson::ondemand::parser parser;
    const double ours = BestNanoseconds(repeats, [&] { return ReadOurs(body, model); });
    const double theirs =
        BestNanoseconds(repeats, [&] { return ReadSimdjson(parser, body, elements); });
    const bool large = elements > 1000;
    std::printf("%8d x %-16s %9.1f %s %9.1f %s\n", elements, element,
                large ? ours / elements : ours, large ? "ns/element" : "ns",
                large ? theirs / elements : theirs, large ? "ns/element" : "ns");
  }
  return 0;
}
