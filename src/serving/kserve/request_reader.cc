#include "serving/kserve/request_reader.h"

#include <algorithm>
#include <utility>

#include "core/base/text.h"
#include "serving/kserve/free_parameter.h"

namespace tepal::kserve {

Status Unparsable(std::string_view field, std::string_view why) {
  return InvalidArgument(Concat("Unable to parse '", field, "': ", why));
}

Status NotA(std::string_view field, std::string_view what) {
  return Unparsable(field, Concat("attempt to access JSON non-", what, " as ", what));
}

Status NoMember(std::string_view field) {
  return Unparsable(field, Concat("attempt to access non-existing object member '", field, "'"));
}

Status RequestReader::TakeString(std::string_view field, std::string_view& value) {
  if (scanner_.Peek() == '"') {
    scanner_.String(value);
    return {};
  }
  scanner_.Skip();
  return NotA(field, "string");
}

Status RequestReader::TakeBool(std::string_view field, bool& value) {
  const char c = scanner_.Peek();
  if (c == 't' || c == 'f') {
    scanner_.Bool(value);
    return {};
  }
  scanner_.Skip();
  return NotA(field, "boolean");
}

Status RequestReader::TakeUnsigned(std::string_view field, uint64_t& value) {
  JsonNumber number;
  if (!JsonScanner::StartsNumber(scanner_.Peek())) {
    scanner_.Skip();
    return NotA(field, "unsigned-integer");
  }
  scanner_.Number(number);
  if (number.kind != JsonNumber::Kind::kUnsigned) return NotA(field, "unsigned-integer");
  value = number.magnitude;
  return {};
}

Status RequestReader::Read() {
  if (scanner_.Peek() != '{') {
    if (scanner_.Skip()) scanner_.End();
    if (scanner_.failed()) return scanner_.error();
    return NoMember("inputs");
  }
  scanner_.EnterObject();
  std::string_view key;
  while (scanner_.NextMember(key)) {
    if (key == "id") {
      ReadId();
    } else if (key == "inputs") {
      ReadInputs();
    } else if (key == "outputs") {
      ReadOutputs();
    } else if (key == "parameters") {
      ReadParameters();
    } else {
      scanner_.Skip();
    }
  }
  if (!scanner_.End()) return scanner_.error();
  RETURN_IF_ERROR(std::move(id_problem_));
  RETURN_IF_ERROR(std::move(parameter_problem_));
  if (!has_inputs_) return NoMember("inputs");
  RETURN_IF_ERROR(std::move(input_problem_));
  RETURN_IF_ERROR(CheckDuplicates());
  if (binary_at_ != body_.size()) {
    return InvalidArgument(
        Concat("unexpected additional input data for model '", model_.name, "'"));
  }
  RETURN_IF_ERROR(std::move(output_problem_));
  // What is requested is a set: outputs come back in the order of their names, each once.
  std::vector<std::string>& outputs = request_.requested_outputs;
  std::sort(outputs.begin(), outputs.end());
  outputs.erase(std::unique(outputs.begin(), outputs.end()), outputs.end());
  return {};
}

void RequestReader::ReadId() {
  std::string_view id;
  Note(id_problem_, TakeString("id", id));
  request_.id = id;
}

void RequestReader::ReadParameters() {
  if (scanner_.Peek() != '{') {
    scanner_.Skip();
    Note(parameter_problem_,
         InvalidArgument("failed to get request params.: attempt to get members "
                         "for non-object"));
    return;
  }
  if (!scanner_.EnterObject()) return;
  std::string_view key;
  while (scanner_.NextMember(key)) ReadParameter(key);
}

void RequestReader::ReadParameter(std::string_view name) {
  std::string_view text;
  Status problem;
  if (name == "sequence_id") {
    if (scanner_.Peek() == '"') {
      scanner_.String(text);
      request_.correlation_text = text;
    } else if (problem = TakeUnsigned(name, request_.correlation_id); !problem.ok()) {
      problem = NotA("sequence_id", "string");
    }
  } else if (name == "sequence_start") {
    problem = TakeBool("sequence_start", request_.sequence_start);
  } else if (name == "sequence_end") {
    problem = TakeBool("sequence_end", request_.sequence_end);
  } else if (name == "priority") {
    problem = TakeUnsigned("priority", request_.priority);
  } else if (name == "timeout") {
    problem = TakeUnsigned("timeout", request_.timeout_us);
  } else if (name == "binary_data_output") {
    problem = TakeBool("binary_data_output", form_.binary);
  } else if (name.starts_with("triton_")) {
    scanner_.Skip();
    problem = InvalidArgument(
        "parameter keys starting with 'triton_' are reserved for Triton usage and should not be "
        "specified.");
  } else {
    problem = ReadFreeParameter(scanner_, name, request_.parameters);
  }
  Note(parameter_problem_, std::move(problem));
}

void RequestReader::ReadOutputs() {
  if (scanner_.Peek() != '[') {
    scanner_.Skip();
    Note(output_problem_, NotA("outputs", "array"));
    return;
  }
  if (!scanner_.EnterArray()) return;
  while (scanner_.NextElement()) {
    if (scanner_.Peek() != '{') {
      scanner_.Skip();
      Note(output_problem_, NotA("outputs", "object"));
      continue;
    }
    Note(output_problem_, ReadOutput());
  }
}

Status RequestReader::ReadOutput() {
  Status problem;
  AnswerForm::Output output;
  bool has_name = false;
  if (!scanner_.EnterObject()) return {};
  std::string_view key, text;
  while (scanner_.NextMember(key)) {
    if (key == "name") {
      has_name = true;
      Note(problem, TakeString("name", text));
      output.name = text;
    } else if (key == "parameters" && scanner_.Peek() == '{') {
      ReadOutputParameters(output, problem);
    } else {
      scanner_.Skip();
    }
    text = {};
  }
  if (scanner_.failed() || !problem.ok()) return problem;
  if (!has_name) return NoMember("name");
  request_.requested_outputs.push_back(output.name);
  form_.outputs.push_back(std::move(output));
  return {};
}

void RequestReader::ReadOutputParameters(AnswerForm::Output& output, Status& problem) {
  if (!scanner_.EnterObject()) return;
  RegionText region;
  std::string_view key;
  while (scanner_.NextMember(key)) {
    if (key == "binary_data") {
      Note(problem, TakeBool("binary_data", output.binary));
    } else if (key == "classification") {
      if (!TakeUnsigned("classification", output.classes).ok()) {
        Note(problem, InvalidArgument("Unable to set 'classification': attempt to access JSON "
                                      "non-unsigned-integer as unsigned-integer"));
      }
    } else if (!ReadRegion(key, region, problem)) {
      scanner_.Skip();
    }
  }
  if (!region.given || scanner_.failed()) return;
  if (output.binary || output.classes > 0) {
    Note(problem, InvalidArgument(Concat("Output can't set both 'shared_memory_region' and '",
                                         output.binary ? "binary_data" : "classification", "'")));
    return;
  }
  Result<Buffer> memory = FindRegion(region, "an output");
  Note(problem, memory.status());
  output.in_region = memory.ok();
  if (memory.ok()) output.region = std::move(memory).value();
}

}  // namespace tepal::kserve
