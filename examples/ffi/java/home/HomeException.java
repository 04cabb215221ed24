package home;

import java.nio.charset.StandardCharsets;

/** What the library refused: the status is one of HOME_E_* of home.h, the message says which value and why. */
public final class HomeException extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final int status;

    /** Called by home_jni.c. */
    HomeException(int status, byte[] message) {
        super(new String(message, StandardCharsets.UTF_8));
        this.status = status;
    }

    /** One of HOME_E_*. */
    public int status() {
        return status;
    }
}
