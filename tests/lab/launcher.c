/* A program in one file, to be pushed, that starts another one of the device with the arguments that it was given. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
  char *first[] = {COMMAND};
  int words = sizeof first / sizeof *first;
  char *command[words + count];
  memcpy(command, first, sizeof first);
  memcpy(command + words, arguments + 1, count * sizeof *arguments); /* with the null at the end */
  execv(*command, command);
  perror(*command);
  return 127;
}
