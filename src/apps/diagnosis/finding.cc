#include "apps/diagnosis/finding.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal::diagnosis {
namespace {

int64_t Count(std::span<const Finding> findings, Severity severity) {
  return std::count_if(findings.begin(), findings.end(),
                       [severity](const Finding& one) { return one.severity == severity; });
}

std::string Plural(int64_t count, std::string_view what) {
  return Concat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace

std::string_view SeverityName(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      break;
  }
  return "error";
}

std::string FindingText(const Finding& finding) {
  std::string text = finding.place;
  if (finding.line > 0) text += Concat(":", finding.line);
  text +=
      Concat(": ", SeverityName(finding.severity), ": ", finding.fault, " [", finding.code, "]\n");
  if (!finding.fix.empty()) text += Concat("    fix: ", finding.fix, "\n");
  return text;
}

std::string FindingsJson(std::span<const Finding> findings) {
  json::Writer out;
  out.BeginObject().Key("findings").BeginArray();
  for (const Finding& finding : findings) {
    out.BeginObject().Key("place").String(finding.place);
    if (finding.line > 0) out.Key("line").Int(finding.line);
    out.Key("severity").String(SeverityName(finding.severity));
    out.Key("code").String(finding.code);
    out.Key("fault").String(finding.fault);
    out.Key("fix").String(finding.fix).EndObject();
  }
  out.EndArray();
  out.Key("errors").Int(Count(findings, Severity::kError));
  out.Key("warnings").Int(Count(findings, Severity::kWarning));
  out.Key("notes").Int(Count(findings, Severity::kNote));
  return out.EndObject().Take();
}

std::string CountText(std::span<const Finding> findings) {
  return Concat(Plural(Count(findings, Severity::kError), "error"), ", ",
                Plural(Count(findings, Severity::kWarning), "warning"), ", ",
                Plural(Count(findings, Severity::kNote), "note"));
}

bool HasFaults(std::span<const Finding> findings) {
  return Count(findings, Severity::kNote) < static_cast<int64_t>(findings.size());
}

}  // namespace tepal::diagnosis
