// Package speaker finds who speaks in a conference from the audio levels that clients
// send in each RTP packet (RFC 6464): the dominant speaker, who gets the large picture,
// and the loudest ones, whose voices get the slots of receivers.
//
// No audio is decoded. The method is that of Volfin and Cohen ("Dominant speaker
// identification for multipoint videoconferencing", Computer Speech and Language 27,
// 2013): a level is judged on three scales of time, a packet's, a word's and a sentence's,
// against a floor that follows the speaker's own noise; a challenger takes the place of
// the dominant speaker only when it is more active on all three. So a cough, or a door,
// changes nothing, and neither does a pause for breath.
//
// Detector and Speaker belong to one goroutine, which hands in the time. Speaker.Level,
// which is for each packet, allocates nothing.
//
// Levels are the senders' own word: a client that always says 0 dBov is always loud. The
// voice activity flag is not needed, and only helps: it can say that noise is no voice.
//
// Start reading at Speaker.Level, then Detector.Update.
package speaker
