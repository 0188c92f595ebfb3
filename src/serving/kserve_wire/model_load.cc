#include "serving/kserve_wire/model_load.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal {

namespace {

// Far above what is real, and far below what could overflow.
constexpr uint64_t kNumberMax = uint64_t{1} << 40;

Duration FromMicroseconds(uint64_t us) {
  return std::chrono::microseconds(static_cast<int64_t>(std::min(us, kNumberMax)));
}

uint64_t Microseconds(Duration time) {
  const int64_t us = ToMicroseconds(time);
  return us > 0 ? std::min(static_cast<uint64_t>(us), kNumberMax) : 0;
}

class Pen {
 public:
  explicit Pen(LoadText& text) : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}
  void Field(std::string_view name, uint64_t value) {
    TEPAL_CHECK(static_cast<size_t>(end_ - at_) > name.size() + 2);
    if (at_ != begin_) *at_++ = ',';
    at_ = std::copy(name.begin(), name.end(), at_);
    *at_++ = '=';
    const auto [end, error] = std::to_chars(at_, end_, value);
    TEPAL_CHECK(error == std::errc());
    at_ = end;
  }
  std::string_view text() const { return {begin_, static_cast<size_t>(at_ - begin_)}; }

 private:
  char* const begin_;
  char* at_;
  char* const end_;
};

void Set(ModelLoad& load, std::string_view name, uint64_t value) {
  if (name == "in_flight") load.in_flight = value;
  if (name == "queued") load.queued = value;
  if (name == "wait_us") load.wait = FromMicroseconds(value);
  if (name == "each_us") load.each = FromMicroseconds(value);
  if (name == "instances") load.instances = std::max<uint64_t>(value, 1);
  if (name == "room") load.room = value;
  if (name == "all") load.in_flight_all = value;
  if (name == "ready") load.ready = value != 0;
}

// As a report has it: a whole number of a sane size.
std::optional<uint64_t> Sane(std::string_view digits) {
  const auto value = ParseNumber<uint64_t>(digits);
  if (!value.has_value() || *value > kNumberMax) return std::nullopt;
  return value;
}

uint64_t NumberOf(const json::Value& object, std::string_view key) {
  const json::Value* value = object.Find(key);
  const int64_t* number = value == nullptr ? nullptr : value->AsInt();
  return number == nullptr || *number < 0 ? 0
                                          : std::min(static_cast<uint64_t>(*number), kNumberMax);
}

bool IsTrue(const json::Value& object, std::string_view key) {
  const json::Value* value = object.Find(key);
  return value != nullptr && value->AsBool() != nullptr && *value->AsBool();
}

const std::string* TextOf(const json::Value& object, std::string_view key) {
  const json::Value* value = object.Find(key);
  return value == nullptr ? nullptr : value->AsString();
}

// One entry a model, ready if one of its versions is.
void AddModel(std::vector<ServerLoad::Model>& models, ServerLoad::Model model) {
  if (!models.empty() && models.back().name == model.name) {
    if (model.load.ready || !models.back().load.ready) models.back().load = model.load;
    return;
  }
  models.push_back(std::move(model));
}

Status TooMany(size_t count) {
  return ResourceExhausted(
      Concat("the answer lists ", count, " models, expected at most ", kServerLoadModelsMax));
}

}  // namespace

Duration ExpectedWait(const ModelLoad& load) {
  if (load.in_flight < load.instances) return Duration(0);
  const uint64_t before = std::min(load.in_flight - load.instances + 1, kNumberMax);
  const double us = static_cast<double>(before) * static_cast<double>(Microseconds(load.each));
  return FromMicroseconds(static_cast<uint64_t>(std::min(us, static_cast<double>(kNumberMax))));
}

std::string_view WriteModelLoad(const ModelLoad& load, LoadText& text) {
  Pen pen(text);
  pen.Field("in_flight", std::min(load.in_flight, kNumberMax));
  pen.Field("queued", std::min(load.queued, kNumberMax));
  pen.Field("wait_us", Microseconds(load.wait));
  pen.Field("each_us", Microseconds(load.each));
  pen.Field("instances", std::min(load.instances, kNumberMax));
  pen.Field("room", std::min(load.room, kNumberMax));
  pen.Field("all", std::min(load.in_flight_all, kNumberMax));
  pen.Field("ready", load.ready ? 1 : 0);
  return pen.text();
}

std::optional<ModelLoad> ReadModelLoad(std::string_view text) {
  if (text.empty() || text.size() > kLoadTextMax) return std::nullopt;
  ModelLoad load;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view field = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = field.find('=');
    if (equals == 0 || equals == std::string_view::npos) return std::nullopt;
    const auto value = Sane(field.substr(equals + 1));
    if (!value.has_value()) return std::nullopt;
    Set(load, field.substr(0, equals), *value);
  }
  return load;
}

Result<ServerLoad> ReadServerLoad(std::string_view json) {
  ASSIGN_OR_RETURN(const json::Value body, json::Parse(json));
  const json::Value* const models = body.Find("models");
  if (models == nullptr || models->AsArray() == nullptr) {
    return InvalidArgument("the answer has no array 'models'");
  }
  if (models->AsArray()->size() > kServerLoadModelsMax) return TooMany(models->AsArray()->size());
  ServerLoad server;
  server.ready = IsTrue(body, "ready");
  server.in_flight = NumberOf(body, "in_flight");
  for (const json::Value& entry : *models->AsArray()) {
    const std::string* const name = TextOf(entry, "name");
    if (name == nullptr) return InvalidArgument("a model of the answer has no name");
    ServerLoad::Model model{.name = *name, .load = {}};
    for (const char* key : {"in_flight", "queued", "wait_us", "each_us", "instances", "room"}) {
      Set(model.load, key, NumberOf(entry, key));
    }
    model.load.ready = IsTrue(entry, "ready");
    model.load.in_flight_all = server.in_flight;
    AddModel(server.models, std::move(model));
  }
  return server;
}

Result<ServerLoad> ReadRepositoryIndex(std::string_view json) {
  ASSIGN_OR_RETURN(const json::Value body, json::Parse(json));
  if (body.AsArray() == nullptr) return InvalidArgument("the answer is not an array of models");
  if (body.AsArray()->size() > kServerLoadModelsMax) return TooMany(body.AsArray()->size());
  ServerLoad server;
  server.ready = true;
  for (const json::Value& entry : *body.AsArray()) {
    const std::string* const name = TextOf(entry, "name");
    if (name == nullptr) return InvalidArgument("a model of the answer has no name");
    const std::string* const state = TextOf(entry, "state");
    ServerLoad::Model model{.name = *name, .load = {}};
    model.load.ready = state != nullptr && *state == "READY";
    AddModel(server.models, std::move(model));
  }
  return server;
}

}  // namespace tepal
