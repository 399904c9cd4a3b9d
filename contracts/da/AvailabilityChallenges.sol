// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IBonds} from "../stake/IBonds.sol";
import {BatchTree} from "./BatchTree.sol";
import {BlobIds} from "./BlobIds.sol";
import {IAvailabilityChallenges} from "./IAvailabilityChallenges.sol";
import {IDACertificates} from "./IDACertificates.sol";
import {IDASigners} from "./IDASigners.sol";
import {RowTree} from "./RowTree.sol";

/// @title Show me your row
/// @notice Immutable and without roles: it is what signers put their stake under. Its balance is the deposits, of open challenges and not withdrawn.
/// Of the stake that a miss costs, half goes to the challenger and half is burnt: credited in Bonds to nobody. The chain can't tell a challenger from the
/// signer in disguise, so whoever takes its own stake out that way, past the delay of unbonding, loses as much as it gets.
contract AvailabilityChallenges is IAvailabilityChallenges {
    uint256 private constant MIN_ANSWER_TIME = 1 minutes;
    uint256 private constant MAX_ANSWER_TIME = 7 days;
    uint256 private constant MAX_RETENTION = 90 days;
    /// Can't call, so can't withdraw.
    address private constant BURNT = address(0);

    address public immutable dataAvailability;
    IBonds public immutable bonds;
    /// @inheritdoc IAvailabilityChallenges
    uint256 public immutable deposit;
    /// @inheritdoc IAvailabilityChallenges
    uint96 public immutable penalty;
    /// @inheritdoc IAvailabilityChallenges
    uint64 public immutable answerTime;
    /// @inheritdoc IAvailabilityChallenges
    uint64 public immutable retention;

    mapping(uint256 id => Challenge) private _challenges;
    mapping(address account => uint256 amount) private _deposits;

    /// @param dataAvailability_ knows who signed, and who holds which rows
    /// @param bonds_ holds the stake of signers
    constructor(address dataAvailability_, address bonds_, ChallengeParameters memory parameters) {
        _bound("penalty", parameters.penalty, 1, type(uint96).max);
        _bound("answerTime", parameters.answerTime, MIN_ANSWER_TIME, MAX_ANSWER_TIME);
        _bound("retention", parameters.retention, 1, MAX_RETENTION);
        dataAvailability = dataAvailability_;
        bonds = IBonds(bonds_);
        deposit = parameters.deposit;
        penalty = parameters.penalty;
        answerTime = parameters.answerTime;
        retention = parameters.retention;
    }

    // ---- challenges

    /// @inheritdoc IAvailabilityChallenges
    function open(Question calldata question) external payable returns (uint256 id) {
        require(msg.value == deposit, WrongDeposit(msg.value, deposit));
        bytes32 blobId = BlobIds.idOf(question.blob);
        address account = _check(question, blobId);
        id = challengeId(blobId, account, question.row, question.chunk);
        require(_challenges[id].challenger == address(0), AlreadyOpen(id));
        bytes32 bond = IDASigners(dataAvailability).bondIdOf(account);
        uint64 deadline = uint64(block.timestamp) + answerTime;
        _challenges[id] = Challenge({
            challenger: msg.sender,
            locked: uint96(bonds.lock(bond, penalty)),
            account: account,
            deadline: deadline,
            row: question.row,
            bond: bond,
            rowRoot: question.blob.rowRoot,
            chunk: question.chunk,
            rowSize: question.blob.rowSize,
            log2T: question.blob.log2T
        });
        emit ChallengeOpened(id, account, msg.sender, blobId, question.row, question.chunk, deadline);
    }

    /// @inheritdoc IAvailabilityChallenges
    function answer(uint256 id, bytes calldata chunk, bytes32[] calldata path) external {
        Challenge memory $ = challenge(id);
        require(block.timestamp <= $.deadline, TooLate($.deadline));
        require(RowTree.verify($.rowRoot, $.log2T, $.rowSize, $.row, $.chunk, chunk, path), InvalidChunk());
        delete _challenges[id];
        _deposits[$.account] += deposit;
        emit ChallengeAnswered(id, $.account);
        bonds.unlock($.bond, $.locked);
    }

    /// @inheritdoc IAvailabilityChallenges
    function conclude(uint256 id) external {
        Challenge memory $ = challenge(id);
        require(block.timestamp > $.deadline, TooEarly($.deadline));
        delete _challenges[id];
        _deposits[$.challenger] += deposit;
        bonds.unlock($.bond, $.locked);
        // Not only what was locked here: a signer could have locked everything by challenging itself.
        IBonds.Bond memory bond = bonds.bondOf($.bond);
        uint128 due = uint128(Math.min(penalty, uint256(bond.bonded) + bond.unbonding));
        uint256 toChallenger = bonds.slash($.bond, due / 2, $.challenger);
        uint256 slashed = toChallenger + bonds.slash($.bond, due - due / 2, BURNT);
        emit ChallengeMissed(id, $.account, slashed, toChallenger);
    }

    /// @inheritdoc IAvailabilityChallenges
    function withdraw(address payable to) external returns (uint256 amount) {
        amount = _deposits[msg.sender];
        require(amount != 0, NothingToWithdraw());
        delete _deposits[msg.sender];
        emit DepositWithdrawn(msg.sender, to, amount);
        require(LowLevelCall.callNoReturn(to, amount, ""), TransferRejected(to, amount));
    }

    // ---- reading

    /// @inheritdoc IAvailabilityChallenges
    function challenge(uint256 id) public view returns (Challenge memory $) {
        $ = _challenges[id];
        require($.challenger != address(0), UnknownChallenge(id));
    }

    /// @inheritdoc IAvailabilityChallenges
    function challengeId(bytes32 blobId, address account, uint32 row, uint32 chunk) public pure returns (uint256) {
        return uint256(keccak256(abi.encode(blobId, account, row, chunk)));
    }

    /// @inheritdoc IAvailabilityChallenges
    function depositsOf(address account) external view returns (uint256) {
        return _deposits[account];
    }

    // ---- rules

    /// That the member signed for that chunk, and still must have it. Gives its account.
    function _check(Question calldata question, bytes32 blobId) private view returns (address account) {
        IDACertificates certificates = IDACertificates(dataAvailability);
        bytes32 batchRoot = question.batchRoot;
        uint64 certifiedAt;
        (certifiedAt, account) = certificates.holderOf(
            batchRoot,
            question.member,
            blobId,
            question.blob.log2K,
            question.row
        );
        require(certifiedAt != 0, NotCertified(batchRoot));
        require(block.timestamp <= certifiedAt + retention, CertificateTooOld(batchRoot));
        require(
            BlobIds.isValid(question.blob) &&
                BatchTree.verify(batchRoot, blobId, question.blobIndex, question.blobProof),
            NotInBatch(blobId)
        );
        require(
            certificates.isAbsentList(batchRoot, question.absent) && !_contains(question.absent, question.member),
            DidNotSign(question.member)
        );
        require(account != address(0), NotHolder(question.member, question.row));
        require(question.chunk < RowTree.chunksOf(question.blob.rowSize), NoSuchChunk(question.chunk));
    }

    /// Two bytes for each index, as the certificate was made with them.
    function _contains(bytes calldata absent, uint256 member) private pure returns (bool) {
        for (uint256 i = 0; i + 1 < absent.length; i += 2) {
            if (uint16(bytes2(absent[i:i + 2])) == member) return true;
        }
        return false;
    }

    function _bound(bytes32 name, uint256 value, uint256 min, uint256 max) private pure {
        require(value >= min && value <= max, InvalidParameter(name, value, min, max));
    }
}
