using System.Runtime.Versioning;
using System.Security.AccessControl;
using System.Security.Principal;

namespace WixOAuth.Local;

/// <summary>
/// The folder for what survives a restart: keys, Azurite's data, the pretend Wix's state. It is created on first use.
/// </summary>
internal sealed class DataFolder(string path)
{
    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode FileMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>The full path of something in the folder, which exists from now on.</summary>
    /// <exception cref="StartFailedException">The folder cannot be made.</exception>
    public string PathOf(string name)
    {
        try
        {
            if (OperatingSystem.IsWindows())
            {
                OwnerOnly().CreateDirectory(path);
            }
            else
            {
                Directory.CreateDirectory(path, FolderMode);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartFailedException($"The data folder {path} cannot be made: {exception.Message}", exception);
        }

        return Path.Combine(path, name);
    }

    /// <summary>
    /// A secret that is made once and then kept. Several programs may ask at the same time: all get the same one.
    /// </summary>
    /// <exception cref="StartFailedException">The folder cannot be read or written, or the file is empty.</exception>
    public string KeepSecret(string name, Func<string> make)
    {
        var file = PathOf(name);
        try
        {
            // File.Move without overwriting is not atomic on every system, so only one program at a time may do this.
            using var turn = new Turn(file);
            if (!File.Exists(file))
            {
                WriteWhole(file, make(), overwrite: false);
            }

            var secret = File.ReadAllText(file).Trim();
            return secret.Length > 0
                ? secret
                : throw new StartFailedException($"{file} is empty: put the kept secret back, or remove the file to have a new one.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartFailedException($"{file} cannot be kept: {exception.Message}", exception);
        }
    }

    /// <summary>Replaces a file: a reader, or a start after a kill, finds the old text or the new one.</summary>
    /// <exception cref="StartFailedException">The folder cannot be written.</exception>
    public void Replace(string name, string text)
    {
        var file = PathOf(name);
        try
        {
            using var turn = new Turn(file);
            WriteWhole(file, text, overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartFailedException($"{file} cannot be kept: {exception.Message}", exception);
        }
    }

    /// <summary>Takes what only one program at a time may use; it is given back when the answer is disposed or the program ends.</summary>
    /// <exception cref="StartFailedException">Another program has it.</exception>
    public IDisposable TakeAlone(string what, string setting)
    {
        var file = PathOf(what.ToLowerInvariant().Replace(' ', '-') + ".lock");
        try
        {
            return new FileStream(file, NewFile(System.IO.FileMode.OpenOrCreate));
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new StartFailedException($"{file} cannot be written: {exception.Message}", exception);
        }
        catch (IOException exception)
        {
            throw new StartFailedException(
                $"Another WixOAuth.Local uses {what} in the data folder {path}: stop it, or give this one a Local__DataFolder of its own or {setting}.",
                exception);
        }
    }

    // The files inherit it. Without it they inherit the rights of the repository's folder, which other users may read.
    [SupportedOSPlatform("windows")]
    private static DirectorySecurity OwnerOnly()
    {
        using var user = WindowsIdentity.GetCurrent();
        var security = new DirectorySecurity();
        security.SetAccessRuleProtection(isProtected: true, preserveInheritance: false);
        security.AddAccessRule(new FileSystemAccessRule(
            user.User!, FileSystemRights.FullControl, InheritanceFlags.ContainerInherit | InheritanceFlags.ObjectInherit, PropagationFlags.None, AccessControlType.Allow));
        return security;
    }

    // Under another name until it is complete: a program that is killed here leaves no partial file.
    private static void WriteWhole(string file, string text, bool overwrite)
    {
        var unfinished = $"{file}.{Guid.NewGuid():N}";
        try
        {
            using (var stream = new FileStream(unfinished, NewFile(System.IO.FileMode.CreateNew)))
            {
                stream.Write(System.Text.Encoding.UTF8.GetBytes(text));
                stream.Flush(flushToDisk: true);
            }

            File.Move(unfinished, file, overwrite);
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

    private static FileStreamOptions NewFile(System.IO.FileMode mode)
    {
        var options = new FileStreamOptions { Mode = mode, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = FileMode;
        }

        return options;
    }

    /// <summary>Lets one program of this machine at a time do something with a file.</summary>
    private sealed class Turn : IDisposable
    {
        private readonly Mutex _mutex;

        public Turn(string file)
        {
            var name = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Path.GetFullPath(file))), 0, 16);
            _mutex = new Mutex(initiallyOwned: false, $"wixoauth-{name}");
            try
            {
                _mutex.WaitOne();
            }
            catch (AbandonedMutexException)
            {
                // Who had it was killed, and leaves either the whole file or none.
            }
        }

        public void Dispose()
        {
            _mutex.ReleaseMutex();
            _mutex.Dispose();
        }
    }
}
