// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/atoll/cli_world.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace atl {

std::string ReadWhole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int WaitForExit(pid_t pid) {
  int outcome = 0;
  CHECK(waitpid(pid, &outcome, 0) == pid);
  return WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 128 + WTERMSIG(outcome);
}

CliWorld::CliWorld() {
  setenv("ATOLLD", ATOLL_TEST_DAEMON, 1);
  unsetenv("ATOLL_CONFIG");
  CHECK(chdir(folder_.path().c_str()) == 0);
}

CliWorld::~CliWorld() {
  const std::vector<std::string> stop = {"node", "stop", "--kill", "--timeout", "5"};
  if (Run(stop).exit_code != 0) {
    WriteConfig({});  // A test that failed may have left one that says nothing.
    Run(stop);
  }
  CHECK(chdir("/") == 0);
}

pid_t CliWorld::Spawn(std::vector<std::string> words, const std::string& out,
                      const std::string& err) {
  std::vector<char*> arguments = {const_cast<char*>("atoll")};
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
  dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
  execv(ATOLL_TEST_CLI, arguments.data());
  _exit(127);
}

CliResult CliWorld::RunBare(std::vector<std::string> words) {
  CliResult result;
  const std::string out = folder_ / ".out";
  const std::string err = folder_ / ".err";
  result.exit_code = WaitForExit(Spawn(std::move(words), out, err));
  result.out = ReadWhole(out);
  result.err = ReadWhole(err);
  return result;
}

CliResult CliWorld::Run(std::vector<std::string> words) {
  words.insert(words.begin(), {"--config", config()});
  return RunBare(std::move(words));
}

CliResult CliWorld::RunJson(std::vector<std::string> words) {
  words.insert(words.end(), {"--format", "json"});
  return Run(std::move(words));
}

void CliWorld::WriteConfig(const std::map<std::string, std::string>& options) {
  std::ofstream out(config());
  out << "[store default]\ndriver = memory\n";
  for (const auto& [key, value] : options) out << "option." << key << " = " << value << "\n";
}

void CliWorld::Start(const std::map<std::string, std::string>& options) {
  WriteConfig(options);
  const CliResult started = Run({"node", "start"});
  ASSERT_EQ(started.exit_code, 0) << started.err;
}

}  // namespace atl
